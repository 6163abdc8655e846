/* Turns the outputs of a network, window by window, into keywords that were heard.
 *
 * It computes what swr_keras/streaming/detection.py does, to the last bit: the probabilities of a
 * window are the softmax of its int8 outputs, a score is their mean over the last windows, and a
 * keyword is detected where the score of the likeliest one reaches the threshold, unless the
 * refractory time of another one covers that window. */
#ifndef SWR_POSTERIOR_FILTER_H_
#define SWR_POSTERIOR_FILTER_H_

#include <cstdint>

#include "swr_config.h"

namespace swr {

class PosteriorFilter {
 public:
  static constexpr int kNone = -1;

  /* Takes the step of the outputs' int8 grid, up to kMaxClasses classes, at least one of which is a
   * keyword, and a threshold above 0; forgets all windows. */
  void Start(float output_scale, const bool* is_keyword, int classes, double threshold);

  /* Forgets all windows. */
  void Reset();

  /* Takes the outputs of the next window; returns the class that is detected, or kNone. */
  int Push(const int8_t* outputs);

  /* The score of the likeliest keyword at the last window. */
  double score() const { return score_; }

 private:
  void Softmax(const int8_t* outputs, float* probabilities) const;
  double Mean(int of_class) const;

  float weights_[256]; /* Of a class, by how far it lies below the largest one. */
  float probabilities_[kSmoothingWindows][kMaxClasses]; /* A ring. */
  bool is_keyword_[kMaxClasses];
  int classes_;
  int next_;  /* Where the next window goes: the oldest one. */
  int held_;  /* Windows in the ring. */
  int wait_;  /* Windows to come at which nothing is detected. */
  double threshold_;
  double score_;
};

}  // namespace swr

#endif
