#include "swr_frontend.h"

#include <string.h>

#include "swr_frontend_stages.h"

void swr_frontend_reset(SwrFrontend *frontend) { memset(frontend, 0, sizeof *frontend); }

/* Returns whether the samples complete a hop. */
static bool take(SwrFrontend *frontend, const int16_t **pcm, size_t *count) {
  size_t missing = SWR_FRONTEND_HOP - frontend->next % SWR_FRONTEND_HOP;
  size_t taken = *count < missing ? *count : missing;
  if (taken == 0) {
    return false;
  }
  memcpy(frontend->samples + frontend->next, *pcm, taken * sizeof **pcm);
  *pcm += taken;
  *count -= taken;
  frontend->next = (uint16_t)((frontend->next + taken) % SWR_FRONTEND_WINDOW);
  if (frontend->held < SWR_FRONTEND_WINDOW) {
    frontend->held = (uint16_t)(frontend->held + taken);
  }
  return taken == missing;
}

bool swr_frontend_push(SwrFrontend *frontend, const int16_t **pcm, size_t *count,
                       uint16_t features[SWR_FRONTEND_CHANNELS]) {
  while (take(frontend, pcm, count)) {
    if (frontend->held == SWR_FRONTEND_WINDOW) {
      int shift = swr_stage_window(frontend->samples, frontend->next, frontend->spectrum);
      swr_stage_energies(frontend->spectrum, shift);
      swr_stage_features(frontend->spectrum, shift, frontend->noise, features);
      return true;
    }
  }
  return false;
}
