#ifndef TFLM_DOUBLE_SCHEMA_H_
#define TFLM_DOUBLE_SCHEMA_H_

#include <cstdint>

#define TFLITE_SCHEMA_VERSION 3

namespace tflite {

// Stands for the bytes of a model, which nobody reads.
struct Model {
  uint32_t version() const;
};

inline const Model* GetModel(const void* bytes) { return static_cast<const Model*>(bytes); }

}  // namespace tflite

#endif
