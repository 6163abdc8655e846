// Lets Python drive the keyword spotter, and say what its networks are and give.
#include <cstdlib>
#include <cstring>
#include <new>

#include "keyword_spotter.h"

extern "C" {

struct Hooks {
  void (*describe)(const void* model, tflm_double::Network* to);
  bool (*infer)(const void* model, const int8_t* input, int8_t* output);
  void (*detected)(const char* label, uint64_t time_ms, float score);
};

}  // extern "C"

static Hooks hooks;

namespace tflm_double {

Network Describe(const tflite::Model* model) {
  Network network;
  hooks.describe(model, &network);
  return network;
}

bool Infer(const tflite::Model* model, const int8_t* input, int8_t* output) {
  return hooks.infer(model, input, output);
}

}  // namespace tflm_double

uint32_t tflite::Model::version() const {
  return static_cast<uint32_t>(tflm_double::Describe(this).version);
}

static void OnDetection(void* context, const swr::Detection& detection) {
  static_cast<Hooks*>(context)->detected(detection.label, detection.time_ms, detection.score);
}

extern "C" {

// Memory that holds anything, as a device's may.
swr::KeywordSpotter* spotter_new(const Hooks* to_use) {
  hooks = *to_use;
  size_t bytes = sizeof(swr::KeywordSpotter);
  bytes += (alignof(swr::KeywordSpotter) - bytes % alignof(swr::KeywordSpotter)) %
           alignof(swr::KeywordSpotter);
  void* memory = std::aligned_alloc(alignof(swr::KeywordSpotter), bytes);
  std::memset(memory, 0xa5, bytes);
  return new (memory) swr::KeywordSpotter;
}

void spotter_free(swr::KeywordSpotter* spotter) {
  spotter->~KeywordSpotter();
  std::free(spotter);
}

bool spotter_init(swr::KeywordSpotter* spotter, const uint8_t* image, uint32_t bytes) {
  return spotter->Init(image, bytes, OnDetection, &hooks);
}

bool spotter_select(swr::KeywordSpotter* spotter, const char* name, double threshold) {
  return spotter->SelectTask(name, threshold);
}

bool spotter_feed(swr::KeywordSpotter* spotter, const int16_t* pcm, size_t count) {
  return spotter->Feed(pcm, count);
}

void spotter_reset(swr::KeywordSpotter* spotter) { spotter->Reset(); }

bool spotter_apply(swr::KeywordSpotter* spotter, const uint8_t* patch, uint32_t bytes,
                   SwrWrite write) {
  return spotter->ApplyPatch(patch, bytes, write, nullptr);
}

}  // extern "C"
