#include <stddef.h>
#include <string.h>

#include "swr_operations.h"

static void move_row(const int8_t *from, int32_t from_stride, int8_t *to, int32_t to_stride,
                     uint32_t count) {
  if (from_stride == 1 && to_stride == 1) {
    memcpy(to, from, count);
    return;
  }
  for (uint32_t i = 0; i < count; ++i) {
    to[(ptrdiff_t)i * to_stride] = from[(ptrdiff_t)i * from_stride];
  }
}

void swr_copy(const SwrCall *call) {
  const SwrCopy *copy = call->operation;
  const SwrMove *move = copy->move;
  const int8_t *from = (copy->constant != NULL ? copy->constant : call->input[0]) + move->from;
  int8_t *to = call->output + move->to;
  uint32_t at[SWR_AXES] = {0};
  const int last = SWR_AXES - 1;
  for (;;) {
    move_row(from, move->from_strides[last], to, move->to_strides[last], move->sizes[last]);
    int axis = last - 1;
    while (axis >= 0 && ++at[axis] == move->sizes[axis]) {
      int32_t back = (int32_t)move->sizes[axis] - 1;
      from -= (ptrdiff_t)back * move->from_strides[axis];
      to -= (ptrdiff_t)back * move->to_strides[axis];
      at[axis--] = 0;
    }
    if (axis < 0) {
      return;
    }
    from += move->from_strides[axis];
    to += move->to_strides[axis];
  }
}

void swr_fill(const SwrCall *call) {
  const SwrFill *fill = call->operation;
  memset(call->output, fill->value, fill->count);
}

void swr_select(const SwrCall *call) {
  const SwrSelection *selection = call->operation;
  const size_t pixel = selection->channels, row = pixel * selection->in_width;
  const int8_t *image = call->input[0];
  int8_t *out = call->output;
  for (uint32_t batch = 0; batch < selection->batches; ++batch) {
    for (uint32_t y = 0; y < selection->out_height; ++y) {
      for (uint32_t x = 0; x < selection->out_width; ++x, out += pixel) {
        memcpy(out, image + selection->rows[y] * row + selection->columns[x] * pixel, pixel);
      }
    }
    image += selection->in_height * row;
  }
}
