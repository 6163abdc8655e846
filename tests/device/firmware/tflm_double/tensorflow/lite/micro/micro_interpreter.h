#ifndef TFLM_DOUBLE_INTERPRETER_H_
#define TFLM_DOUBLE_INTERPRETER_H_

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace tflm_double {

struct Tensor {
  int type;
  int rank;
  int dims[5];
  float scale;
  int zero_point;
};

// What a test says of the model at an address.
struct Network {
  int version;
  int inputs;
  int outputs;
  int arena_bytes;
  Tensor input;
  Tensor output;
};

Network Describe(const tflite::Model* model);
bool Infer(const tflite::Model* model, const int8_t* input, int8_t* output);

}  // namespace tflm_double

namespace tflite {

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& op_resolver, uint8_t* arena,
                   size_t arena_bytes)
      : model_(model), op_resolver_(op_resolver), arena_(arena), arena_bytes_(arena_bytes) {}

  TfLiteStatus AllocateTensors() {
    network_ = tflm_double::Describe(model_);
    if (op_resolver_.count() == 0 || reinterpret_cast<uintptr_t>(arena_) % 16 != 0 ||
        static_cast<size_t>(network_.arena_bytes) > arena_bytes_) {
      return kTfLiteError;
    }
    size_t bytes = Place(network_.input, arena_, &input_, &input_dims_);
    bytes += Place(network_.output, arena_ + bytes, &output_, &output_dims_);
    return bytes <= arena_bytes_ ? kTfLiteOk : kTfLiteError;
  }

  TfLiteStatus Invoke() {
    return tflm_double::Infer(model_, input_.data.int8, output_.data.int8) ? kTfLiteOk
                                                                           : kTfLiteError;
  }

  size_t inputs_size() const { return static_cast<size_t>(network_.inputs); }
  size_t outputs_size() const { return static_cast<size_t>(network_.outputs); }
  TfLiteTensor* input(size_t) { return &input_; }
  TfLiteTensor* output(size_t) { return &output_; }

 private:
  static size_t Place(const tflm_double::Tensor& from, uint8_t* place, TfLiteTensor* to,
                      TfLiteIntArray* dims) {
    size_t bytes = 1;
    dims->size = from.rank;
    for (int i = 0; i < from.rank; ++i) {
      dims->data[i] = from.dims[i];
      bytes *= static_cast<size_t>(from.dims[i]);
    }
    to->type = static_cast<TfLiteType>(from.type);
    to->data.int8 = reinterpret_cast<int8_t*>(place);
    to->dims = dims;
    to->params = {from.scale, from.zero_point};
    return bytes;
  }

  const Model* model_;
  const MicroOpResolver& op_resolver_;
  uint8_t* arena_;
  size_t arena_bytes_;
  tflm_double::Network network_;
  TfLiteTensor input_, output_;
  TfLiteIntArray input_dims_, output_dims_;
};

}  // namespace tflite

#endif
