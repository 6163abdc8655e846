/* Runs audio through the front end and every task of generated sources, and prints all numbers.
 *
 * For an emulated microcontroller. Macros: SWR_CHECK_SAMPLES of the file "pcm" (int16, 16 kHz) and
 * SWR_CHECK_FRAMES that a network reads. Each task runs twice, so that others use the arena between.
 * The audio is heard again where the input of a task has another scale than that of the one before.
 * Where the sources keep what tasks share, all of them run once more together.
 */
#include <stdio.h>

#include "swr.h"
#include "swr_emulator.h"
#include "swr_frontend.h"
#include "swr_input.h"

static int16_t pcm[SWR_CHECK_SAMPLES];
static int8_t memory[SWR_CHECK_FRAMES * SWR_FRONTEND_CHANNELS];
static _Alignas(SWR_ARENA_UNIT) int8_t arena[SWR_ARENA_BYTES];
static SwrFrontend frontend;
static SwrFrames frames;

static void listen(void) {
  const int16_t *next = pcm;
  size_t count = SWR_CHECK_SAMPLES;
  swr_frontend_reset(&frontend);
  uint16_t features[SWR_FRONTEND_CHANNELS];
  uint64_t start = swr_instructions(), printing = 0;
  while (swr_frontend_push(&frontend, &next, &count, features)) {
    swr_frames_add(&frames, features);
    uint64_t computed = swr_instructions();
    printf("features");
    for (int i = 0; i < SWR_FRONTEND_CHANNELS; ++i) {
      printf(" %u", (unsigned)features[i]);
    }
    printf("\n");
    printing += swr_instructions() - computed;
  }
  printf("frontend %u\n", (unsigned)(swr_instructions() - start - printing));
}

/* Reads the input of a task; tells when it began to, since it may have had to listen before. */
static bool read_input(const SwrTask *task, uint64_t *start) {
  SwrInputScale scale;
  bool fits = swr_input_scale(&scale, task->input_scale, task->input_zero_point);
  if (fits) {
    swr_frames_switch(&frames, SWR_CHECK_FRAMES, &scale);
    if (frames.held == 0) {
      listen();
    }
  }
  *start = swr_instructions();
  if (!fits || !swr_frames_read(&frames, &scale, swr_input(task, arena))) {
    printf("The front end doesn't fit the network.\n");
    return false;
  }
  return true;
}

static void print(const char *how, int number, uint64_t instructions) {
  const SwrTask *task = &swr_tasks[number];
  const int8_t *outputs = swr_output(task, arena);
  printf("%s %d %u", how, number, (unsigned)instructions);
  for (uint32_t i = 0; i < task->output_count; ++i) {
    printf(" %d", outputs[i]);
  }
  printf("\n");
}

static bool run(int number) {
  const SwrTask *task = &swr_tasks[number];
  uint64_t start;
  if (!read_input(task, &start)) {
    return false;
  }
  swr_invoke(task, arena);
  print("task", number, swr_instructions() - start);
  return true;
}

static bool share_input(const SwrTask *a, const SwrTask *b) {
  return a->program == b->program && a->input_zero_point == b->input_zero_point &&
         !(a->input_scale < b->input_scale || a->input_scale > b->input_scale);
}

/* Runs the trunk of a task, and the branches of all from this one on that read the same input. */
static bool run_together(int first, bool *done) {
  const SwrTask *task = &swr_tasks[first];
  uint64_t start;
  if (!read_input(task, &start)) {
    return false;
  }
  swr_trunk(task, arena);
  for (int i = first; i < SWR_TASK_COUNT; ++i) {
    if (!done[i] && share_input(task, &swr_tasks[i])) {
      swr_branch(&swr_tasks[i], arena);
      print("branch", i, swr_instructions() - start);
      done[i] = true;
      start = swr_instructions();
    }
  }
  return true;
}

int main(void) {
  if (swr_read_file("pcm", pcm, sizeof pcm) != (long)sizeof pcm) {
    return 2;
  }
  swr_frames_start(&frames, memory, SWR_CHECK_FRAMES, &(SwrInputScale){0});
  for (int i = 0; i < 2 * SWR_TASK_COUNT; ++i) {
    if (!run(i % SWR_TASK_COUNT)) {
      return 1;
    }
  }
  bool done[SWR_TASK_COUNT] = {false};
  for (int i = 0; i < SWR_TASK_COUNT; ++i) {
    if (swr_tasks[i].program->keeps_trunk && !done[i] && !run_together(i, done)) {
      return 1;
    }
  }
  printf("memory %u %u %u\n", (unsigned)sizeof arena, (unsigned)sizeof memory,
         (unsigned)(sizeof frontend + sizeof frames));
  return 0;
}
