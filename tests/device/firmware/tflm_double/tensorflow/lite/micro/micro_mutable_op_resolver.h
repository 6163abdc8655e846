#ifndef TFLM_DOUBLE_OP_RESOLVER_H_
#define TFLM_DOUBLE_OP_RESOLVER_H_

#include "tensorflow/lite/c/common.h"

namespace tflite {

class MicroOpResolver {
 public:
  virtual ~MicroOpResolver() = default;
  virtual int count() const = 0;
};

template <int most>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  int count() const override { return count_; }

  TfLiteStatus AddAveragePool2D() { return Add(); }
  TfLiteStatus AddConv2D() { return Add(); }
  TfLiteStatus AddFullyConnected() { return Add(); }
  TfLiteStatus AddMean() { return Add(); }
  TfLiteStatus AddReshape() { return Add(); }

 private:
  TfLiteStatus Add() { return ++count_ <= most ? kTfLiteOk : kTfLiteError; }

  int count_ = 0;
};

}  // namespace tflite

#endif
