/* Listens to a recording on a host, as a device would:
 *
 *   keyword_spotter [--raw] [--outputs] TASK FILE
 *
 * prints a line a detection: its time, score and label; with --outputs, the int8 outputs of each
 * window, too. */
#include <cstdio>
#include <cstring>

#include "keyword_spotter.h"
#include "swr_image.h"
#include "wav_reader.h"

namespace {

constexpr int kFailed = 1;
constexpr int kMisused = 2;

swr::KeywordSpotter spotter;

void PrintDetection(void*, const swr::Detection& detection) {
  std::printf("%.2f s  %.3f  %s\n", static_cast<double>(detection.time_ms) / 1000,
              static_cast<double>(detection.score), detection.label);
}

void PrintOutputs() {
  std::printf("outputs");
  for (int i = 0; i < spotter.classes(); ++i) {
    std::printf(" %d", spotter.outputs()[i]);
  }
  std::printf("\n");
}

/* Feeds a hop at a time, so that no window is missed. */
bool Listen(swr::WavReader& reader, bool prints_outputs) {
  int16_t pcm[SWR_FRONTEND_HOP];
  while (const size_t count = reader.Read(pcm, SWR_FRONTEND_HOP)) {
    const uint64_t before = spotter.windows();
    if (!spotter.Feed(pcm, count)) {
      return false;
    }
    if (prints_outputs && spotter.windows() > before) {
      PrintOutputs();
    }
  }
  return true;
}

int Refuse(const char* what, const char* name, const char* why) {
  std::fprintf(stderr, "%s '%s' can't be used: %s.\n", what, name, why);
  return kFailed;
}

}  // namespace

int main(int count, char** arguments) {
  bool is_raw = false, prints_outputs = false;
  const char* names[2] = {};
  int given = 0;
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(arguments[i], "--raw") == 0) {
      is_raw = true;
    } else if (std::strcmp(arguments[i], "--outputs") == 0) {
      prints_outputs = true;
    } else if (given < 2 && std::strncmp(arguments[i], "--", 2) != 0) {
      names[given++] = arguments[i];
    } else {
      given = 3;
    }
  }
  if (given != 2) {
    std::fprintf(stderr, "Usage: %s [--raw] [--outputs] TASK FILE\n", arguments[0]);
    return kMisused;
  }
  if (!spotter.Init(g_swr_image, g_swr_image_len, PrintDetection, nullptr)) {
    return Refuse("Bundle", "swr_image", "it is damaged, or none");
  }
  if (!spotter.SelectTask(names[0])) {
    return Refuse("Task", names[0], "the bundle has none of this name, or it is damaged");
  }
  swr::WavReader reader;
  if (const char* problem = reader.Open(names[1], is_raw)) {
    return Refuse("File", names[1], problem);
  }
  if (!Listen(reader, prints_outputs)) {
    return Refuse("Task", names[0], "its model can't be run");
  }
  return reader.error() != nullptr ? Refuse("File", names[1], reader.error()) : 0;
}
