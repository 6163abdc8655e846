/* Runs int8 models that were generated as constants, without a runtime and without a heap.
 *
 * A program is a list of steps, the same for all tasks of one architecture; a task brings the
 * numbers. All of it lies in flash. The only memory that changes is an arena, which the caller
 * owns and which tasks can use in turn.
 */
#ifndef SWR_PROGRAM_H_
#define SWR_PROGRAM_H_

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What arenas are aligned to, and the unit of offsets in them. */
#define SWR_ARENA_UNIT 16

typedef struct {
  const void *operation; /* The numbers, of the type that the kernel expects. */
  const int8_t *input[2];
  int8_t *output;
  void *scratch;
} SwrCall;

typedef void SwrKernel(const SwrCall *call);

/* Offsets are in units of SWR_ARENA_UNIT. */
typedef struct {
  SwrKernel *kernel;
  uint16_t input[2];
  uint16_t output;
  uint16_t scratch;
} SwrStep;

typedef struct {
  const SwrStep *steps;
  uint16_t step_count;
  uint16_t trunk_count; /* Steps of which all tasks of the program have the same numbers. */
  uint16_t input;
  uint16_t output;
  uint8_t keeps_trunk; /* Whether the others leave the results of these as they are. */
} SwrProgram;

typedef struct {
  const char *name;          /* UTF-8. */
  const char *const *labels; /* UTF-8, one for each output, or NULL. */
  const SwrProgram *program;
  const void *const *operations; /* One for each step. */
  uint32_t input_count;
  uint32_t output_count;
  float input_scale; /* real = scale * (int8 - zero_point) */
  float output_scale;
  int8_t input_zero_point;
  int8_t output_zero_point;
} SwrTask;

/* Where to write the inputs, `input_count` values, before each call of `swr_invoke`. */
int8_t *swr_input(const SwrTask *task, int8_t *arena);

/* Where the outputs are after it, `output_count` values, until something else uses the arena. */
const int8_t *swr_output(const SwrTask *task, const int8_t *arena);

/* Computes the outputs. The inputs are overwritten. */
void swr_invoke(const SwrTask *task, int8_t *arena);

/* The same in two parts, for tasks of one program that read the same inputs: once what they share,
 * then, for each task, the rest. False, and nothing is computed, if the sources don't keep what
 * the tasks share. */
bool swr_trunk(const SwrTask *any_task, int8_t *arena);
void swr_branch(const SwrTask *task, int8_t *arena);

#ifdef __cplusplus
}
#endif

#endif
