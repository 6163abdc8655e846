/* Keeps the last frames of features, and turns them into the int8 input of a network.
 *
 * Features are kept as the front end gives them: networks with different inputs can read the same
 * frames, and one that takes over has a full window at once. */
#ifndef SWR_INPUT_H_
#define SWR_INPUT_H_

#include <stdbool.h>
#include <stdint.h>

#include "swr_frontend.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  uint64_t factor; /* Steps of the input that a feature takes, with 44 bits of fraction. */
  int32_t zero_point;
} SwrInputScale;

/* Takes the scale and the zero point of a network's input, for features that were multiplied by
 * 10/256 in training. False if the scale isn't from 2^-8 to 2^15, or the zero point no int8. */
bool swr_input_scale(SwrInputScale *to, float scale, int32_t zero_point);

/* Rounds a feature, half to even, and clips it: to the last bit what `LiteModel.quantize` gives. */
int8_t swr_input_value(const SwrInputScale *scale, uint16_t feature);

typedef struct {
  uint16_t *features; /* A ring of frames. */
  uint16_t frames;
  uint16_t next;
  uint16_t held;
} SwrFrames;

/* Takes memory for as many frames as a network reads: SWR_FRONTEND_CHANNELS features each. */
void swr_frames_start(SwrFrames *to, uint16_t *features, uint16_t frames);

/* Adds a frame in place of the oldest one. */
void swr_frames_add(SwrFrames *frames, const uint16_t features[SWR_FRONTEND_CHANNELS]);

/* Writes the input of a network, the oldest frame first; false if there are too few frames yet. */
bool swr_frames_read(const SwrFrames *frames, const SwrInputScale *scale, int8_t *input);

#ifdef __cplusplus
}
#endif

#endif
