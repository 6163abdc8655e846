/* Listens on an emulated Cortex-M to the file "audio" (raw 16 kHz samples) for the keywords of the
 * task that the file "task" names. Prints the outputs of each window, detections, and how many
 * instructions a frame without and with a window takes, at most. */
#include <algorithm>
#include <cstdio>
#include <new>

#include "keyword_spotter.h"
#include "swr_emulator.h"
#include "swr_image.h"

namespace {

constexpr size_t kMostSamples = 60 * SWR_FRONTEND_SAMPLE_RATE_HZ;

int16_t audio[kMostSamples];
char task[SWR_BUNDLE_NAME_BYTES + 1];

/* Made in main, since the emulator's start-up code runs no constructors, and never destroyed. */
alignas(swr::KeywordSpotter) unsigned char storage[sizeof(swr::KeywordSpotter)];

void PrintDetection(void*, const swr::Detection& detection) {
  std::printf("detected %lu ms %lu per mille %s\n", static_cast<unsigned long>(detection.time_ms),
              static_cast<unsigned long>(detection.score * 1000), detection.label);
}

void PrintOutputs(const swr::KeywordSpotter& spotter) {
  std::printf("outputs");
  for (int i = 0; i < spotter.classes(); ++i) {
    std::printf(" %d", spotter.outputs()[i]);
  }
  std::printf("\n");
}

int Refuse(const char* what) {
  std::printf("%s can't be used.\n", what);
  return 1;
}

bool Listen(swr::KeywordSpotter& spotter, size_t samples) {
  uint64_t most_of_frame = 0, most_of_window = 0;
  for (size_t at = 0; at + SWR_FRONTEND_HOP <= samples; at += SWR_FRONTEND_HOP) {
    const uint64_t windows = spotter.windows(), start = swr_instructions();
    if (!spotter.Feed(audio + at, SWR_FRONTEND_HOP)) {
      return false;
    }
    const uint64_t taken = swr_instructions() - start;
    if (spotter.windows() > windows) {
      most_of_window = std::max(most_of_window, taken);
      PrintOutputs(spotter);
    } else {
      most_of_frame = std::max(most_of_frame, taken);
    }
  }
  std::printf("instructions %lu a frame, %lu with a window\n",
              static_cast<unsigned long>(most_of_frame),
              static_cast<unsigned long>(most_of_window));
  return true;
}

}  // namespace

int main() {
  swr::KeywordSpotter& spotter = *new (storage) swr::KeywordSpotter;
  swr_read_file("task", task, sizeof task - 1);
  const long bytes = swr_read_file("audio", audio, sizeof audio);
  if (bytes <= 0) {
    return Refuse("The audio");
  }
  if (!spotter.Init(g_swr_image, g_swr_image_len, PrintDetection, nullptr)) {
    return Refuse("The bundle");
  }
  if (!spotter.SelectTask(task)) {
    return Refuse("The task");
  }
  return Listen(spotter, static_cast<size_t>(bytes) / sizeof *audio) ? 0 : Refuse("The model");
}
