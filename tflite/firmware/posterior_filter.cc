#include "posterior_filter.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace swr {

static_assert(kMaxClasses <= 128, "Sum adds up to 128 numbers as NumPy does");

/* In the order of NumPy, so that sums are equal to the last bit. */
static float Sum(const float* values, int count) {
  constexpr int kLanes = 8;
  float sum = 0;
  int at = 0;
  if (count >= kLanes) {
    float lanes[kLanes] = {};
    for (; at + kLanes <= count; at += kLanes) {
      for (int lane = 0; lane < kLanes; ++lane) {
        lanes[lane] += values[at + lane];
      }
    }
    sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
          ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
  }
  for (; at < count; ++at) {
    sum += values[at];
  }
  return sum;
}

void PosteriorFilter::Start(float output_scale, const bool* is_keyword, int classes,
                            double threshold) {
  for (int below = 0; below < static_cast<int>(std::size(weights_)); ++below) {
    weights_[below] = static_cast<float>(std::exp(-static_cast<double>(output_scale) * below));
  }
  std::copy_n(is_keyword, classes, is_keyword_);
  classes_ = classes;
  threshold_ = threshold;
  Reset();
}

void PosteriorFilter::Reset() {
  std::fill_n(&probabilities_[0][0], kSmoothingWindows * kMaxClasses, 0.0f);
  next_ = held_ = wait_ = 0;
  score_ = 0;
}

int PosteriorFilter::Push(const int8_t* outputs) {
  Softmax(outputs, probabilities_[next_]);
  next_ = (next_ + 1) % kSmoothingWindows;
  held_ = std::min(held_ + 1, kSmoothingWindows);
  int best = kNone;
  for (int each = 0; each < classes_; ++each) {
    if (is_keyword_[each]) {
      const double mean = Mean(each);
      if (best == kNone || mean > score_) {
        best = each;
        score_ = mean;
      }
    }
  }
  if (wait_ > 0) {
    --wait_;
    return kNone;
  }
  if (score_ < threshold_) {
    return kNone;
  }
  wait_ = kRefractoryWindows;
  return best;
}

void PosteriorFilter::Softmax(const int8_t* outputs, float* probabilities) const {
  const int largest = *std::max_element(outputs, outputs + classes_);
  std::transform(outputs, outputs + classes_, probabilities,
                 [&](int8_t output) { return weights_[largest - output]; });
  const float sum = Sum(probabilities, classes_);
  std::transform(probabilities, probabilities + classes_, probabilities,
                 [=](float weight) { return weight / sum; });
}

double PosteriorFilter::Mean(int of_class) const {
  double sum = 0;
  for (int lag = 0; lag < kSmoothingWindows; ++lag) {
    sum += static_cast<double>(probabilities_[(next_ + lag) % kSmoothingWindows][of_class]);
  }
  return sum / held_;
}

}  // namespace swr
