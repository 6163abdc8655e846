/* Turns features into int8 values as a network reads them, and keeps those of the last frames.
 *
 * All networks with inputs of one scale and zero point can read the same frames, and one of these
 * that takes over has a full window at once. One with another scale needs frames of its own, or
 * begins without any. */
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
  SwrInputScale scale;
  int8_t *values; /* A ring of frames. */
  uint16_t frames;
  uint16_t next;
  uint16_t held;
} SwrFrames;

/* Takes memory for as many frames as a network reads: SWR_FRONTEND_CHANNELS values each. A scale of
 * zeros suits no network: a ring can start with it before any is known. */
void swr_frames_start(SwrFrames *to, int8_t *values, uint16_t frames, const SwrInputScale *scale);

/* Goes on for a network that reads so many frames, at most as many as there is memory for. What is
 * held stays if it is as this network reads it; else it is forgotten. */
void swr_frames_switch(SwrFrames *frames, uint16_t count, const SwrInputScale *scale);

/* Adds a frame in place of the oldest one. */
void swr_frames_add(SwrFrames *frames, const uint16_t features[SWR_FRONTEND_CHANNELS]);

/* Writes the input of a network, the oldest frame first; false if there are too few frames yet, or
 * they are of another scale. */
bool swr_frames_read(const SwrFrames *frames, const SwrInputScale *scale, int8_t *input);

#ifdef __cplusplus
}
#endif

#endif
