#include "swr_program.h"

#include <stddef.h>

static int8_t *at(int8_t *arena, uint16_t offset) {
  return arena + (size_t)offset * SWR_ARENA_UNIT;
}

int8_t *swr_input(const SwrTask *task, int8_t *arena) { return at(arena, task->program->input); }

const int8_t *swr_output(const SwrTask *task, const int8_t *arena) {
  return arena + (size_t)task->program->output * SWR_ARENA_UNIT;
}

static void run(const SwrTask *task, int8_t *arena, uint16_t first, uint16_t end) {
  for (uint16_t i = first; i < end; ++i) {
    const SwrStep *step = &task->program->steps[i];
    SwrCall call = {
        .operation = task->operations[i],
        .input = {at(arena, step->input[0]), at(arena, step->input[1])},
        .output = at(arena, step->output),
        .scratch = at(arena, step->scratch),
    };
    step->kernel(&call);
  }
}

void swr_invoke(const SwrTask *task, int8_t *arena) {
  run(task, arena, 0, task->program->step_count);
}

bool swr_trunk(const SwrTask *any_task, int8_t *arena) {
  if (!any_task->program->keeps_trunk) {
    return false;
  }
  run(any_task, arena, 0, any_task->program->trunk_count);
  return true;
}

void swr_branch(const SwrTask *task, int8_t *arena) {
  run(task, arena, task->program->trunk_count, task->program->step_count);
}
