// What tests have in place of TFLite Micro: the few types that the firmware uses.
#ifndef TFLM_DOUBLE_COMMON_H_
#define TFLM_DOUBLE_COMMON_H_

#include <cstddef>
#include <cstdint>

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
enum TfLiteType { kTfLiteFloat32 = 1, kTfLiteInt8 = 9 };

struct TfLiteIntArray {
  int size;
  int data[5];
};

struct TfLiteTensor {
  TfLiteType type;
  union {
    int8_t* int8;
  } data;
  TfLiteIntArray* dims;
  struct {
    float scale;
    int32_t zero_point;
  } params;
};

#define TF_LITE_ENSURE_STATUS(a) \
  do {                           \
    if ((a) != kTfLiteOk) {      \
      return kTfLiteError;       \
    }                            \
  } while (0)

#endif
