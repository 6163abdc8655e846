/* Listens for the keywords of one task of a bundle in flash.
 *
 *   static swr::KeywordSpotter spotter;
 *   spotter.Init(image, image_bytes, OnDetection, nullptr);
 *   spotter.SelectTask("mandarin");
 *   for (;;) {
 *     spotter.Feed(pcm, ReadMicrophone(pcm));
 *   }
 *
 * All memory is in the object, arena included: it belongs in static storage. Nothing is taken from
 * the heap. Calls must not overlap. */
#ifndef SWR_KEYWORD_SPOTTER_H_
#define SWR_KEYWORD_SPOTTER_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "posterior_filter.h"
#include "swr_bundle.h"
#include "swr_config.h"
#include "swr_frontend.h"
#include "swr_input.h"
#include "tensorflow/lite/micro/micro_interpreter.h"

namespace swr {

struct Detection {
  const char* label; /* Of the task, in flash. */
  uint64_t time_ms;  /* When it was known: the end of the window, from the start of the audio on. */
  float score;       /* From 0 to 1. */
};

/* Is called by Feed; it may copy what it is given, and must not call the spotter. */
using DetectionCallback = void (*)(void* context, const Detection& detection);

class KeywordSpotter {
 public:
  KeywordSpotter() = default;
  KeywordSpotter(const KeywordSpotter&) = delete;
  KeywordSpotter& operator=(const KeywordSpotter&) = delete;

  /* Takes a bundle, aligned to 16 bytes, that stays where it is. False if it is none. */
  bool Init(const uint8_t* image, uint32_t bytes, DetectionCallback callback, void* context);

  /* Listens for the keywords of another task from the next frame on. What was heard counts for its
   * first window, too, if its input has the length, scale and zero point of that of the task before;
   * else it first hears a window anew. False, and nothing changes, if there is no such task, it is
   * damaged, has no keyword among its labels or too many of them, or the threshold isn't above 0.
   * False, and no task listens, if TFLite Micro refuses its model, or that doesn't go from frames of
   * features to one int8 output a label. */
  bool SelectTask(const char* name, double threshold = kThreshold);

  /* Takes any number of 16 kHz samples. False if no task listens, or an inference failed. */
  bool Feed(const int16_t* pcm, size_t count);

  /* Forgets all audio, where the microphone paused: time begins anew. */
  void Reset();

  /* Writes a patch into the image by `write`, see swr_bundle.h. False, and all tasks are as they
   * were, if it isn't for this image or a write failed. The task that listens goes on as it was,
   * even if the patch replaces or removes it, until one is selected. */
  bool ApplyPatch(const uint8_t* patch, uint32_t bytes, SwrWrite write, void* context);

  const SwrBundle& bundle() const { return bundle_; }

  /* Windows that the task has heard; after the first one, its outputs at the last, one a class. */
  uint64_t windows() const { return windows_; }
  const int8_t* outputs() const { return output_; }
  int classes() const { return labels_.count; }

 private:
  struct Labels {
    const char* names[kMaxClasses];
    bool is_keyword[kMaxClasses];
    int count;
  };

  bool ReadLabels(uint16_t task, Labels* to) const;
  bool Start(const tflite::Model* model, double threshold);
  bool TakeInput(const TfLiteTensor& tensor);
  bool TakeOutput(const TfLiteTensor& tensor);
  void Restart();
  bool HearFrame();
  uint64_t HeardMs() const;
  bool Open(const uint8_t* image, uint32_t bytes);

  SwrBundle bundle_ = {};
  DetectionCallback callback_;
  void* context_;

  SwrFrontend frontend_;
  SwrFrames frames_ = {};
  SwrInputScale input_scale_;
  uint64_t heard_; /* Frames. */
  int until_window_;

  OpResolver op_resolver_;
  bool is_registered_ = false;
  std::optional<tflite::MicroInterpreter> interpreter_; /* If a task listens. */
  int8_t* input_ = nullptr;
  const int8_t* output_ = nullptr;
  uint64_t windows_ = 0;

  Labels labels_ = {};
  PosteriorFilter filter_;

  int8_t inputs_[kMaxFrames * SWR_FRONTEND_CHANNELS];
  alignas(16) uint8_t arena_[kArenaBytes];
};

}  // namespace swr

#endif
