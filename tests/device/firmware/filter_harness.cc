// Lets Python drive the posterior filter.
#include "posterior_filter.h"

static swr::PosteriorFilter filter;

extern "C" {

void filter_start(float scale, const bool* is_keyword, int classes, double threshold) {
  filter.Start(scale, is_keyword, classes, threshold);
}

int filter_push(const int8_t* outputs, double* score) {
  const int found = filter.Push(outputs);
  *score = filter.score();
  return found;
}

}  // extern "C"
