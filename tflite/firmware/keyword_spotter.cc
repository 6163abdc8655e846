#include "keyword_spotter.h"

#include <cstring>

#include "tensorflow/lite/schema/schema_generated.h"

namespace swr {

namespace {

constexpr uint64_t kMsPerSecond = 1000;

bool IsKeyword(const char* label) {
  return std::strcmp(label, "_silence_") != 0 && std::strcmp(label, "_unknown_") != 0;
}

bool HasShape(const TfLiteTensor& tensor, const int (&shape)[4]) {
  return tensor.dims->size == 4 && std::memcmp(tensor.dims->data, shape, sizeof shape) == 0;
}

}  // namespace

bool KeywordSpotter::Init(const uint8_t* image, uint32_t bytes, DetectionCallback callback,
                          void* context) {
  interpreter_.reset();
  callback_ = callback;
  context_ = context;
  input_scale_ = {};
  swr_frames_start(&frames_, inputs_, kMaxFrames, &input_scale_);
  Reset();
  is_registered_ = is_registered_ || RegisterOps(op_resolver_) == kTfLiteOk;
  return Open(image, bytes) && is_registered_;
}

bool KeywordSpotter::SelectTask(const char* name, double threshold) {
  const int task = swr_bundle_find(&bundle_, name);
  Labels labels;
  if (task < 0 || !swr_bundle_is_whole(&bundle_, static_cast<uint16_t>(task)) ||
      !ReadLabels(static_cast<uint16_t>(task), &labels) || !(threshold > 0)) {
    return false;
  }
  const uint8_t* model = swr_bundle_model(&bundle_, static_cast<uint16_t>(task));
  if (model == nullptr || tflite::GetModel(model)->version() != TFLITE_SCHEMA_VERSION) {
    return false;
  }
  labels_ = labels;
  if (!Start(tflite::GetModel(model), threshold)) {
    interpreter_.reset();
    return false;
  }
  return true;
}

bool KeywordSpotter::ReadLabels(uint16_t task, Labels* to) const {
  bool any = false;
  to->count = 0;
  while (const char* label =
             swr_bundle_label(&bundle_, task, static_cast<uint16_t>(to->count))) {
    if (to->count == kMaxClasses) {
      return false;
    }
    to->names[to->count] = label;
    to->is_keyword[to->count] = IsKeyword(label);
    any = any || to->is_keyword[to->count];
    ++to->count;
  }
  return any;
}

bool KeywordSpotter::Start(const tflite::Model* model, double threshold) {
  interpreter_.emplace(model, op_resolver_, arena_, sizeof arena_);
  if (interpreter_->AllocateTensors() != kTfLiteOk || interpreter_->inputs_size() != 1 ||
      interpreter_->outputs_size() != 1 || !TakeInput(*interpreter_->input(0)) ||
      !TakeOutput(*interpreter_->output(0))) {
    return false;
  }
  filter_.Start(interpreter_->output(0)->params.scale, labels_.is_keyword, labels_.count,
                threshold);
  Restart();
  return true;
}

bool KeywordSpotter::TakeInput(const TfLiteTensor& tensor) {
  const int frames = tensor.dims->size == 4 ? tensor.dims->data[1] : 0;
  if (tensor.type != kTfLiteInt8 || frames < 1 || frames > kMaxFrames ||
      !HasShape(tensor, {1, frames, SWR_FRONTEND_CHANNELS, 1}) ||
      !swr_input_scale(&input_scale_, tensor.params.scale, tensor.params.zero_point)) {
    return false;
  }
  swr_frames_switch(&frames_, static_cast<uint16_t>(frames), &input_scale_);
  input_ = tensor.data.int8;
  return true;
}

bool KeywordSpotter::TakeOutput(const TfLiteTensor& tensor) {
  output_ = tensor.data.int8;
  return tensor.type == kTfLiteInt8 && tensor.dims->size == 2 && tensor.dims->data[0] == 1 &&
         tensor.dims->data[1] == labels_.count;
}

void KeywordSpotter::Reset() {
  swr_frontend_reset(&frontend_);
  swr_frames_start(&frames_, inputs_, frames_.frames, &input_scale_);
  heard_ = 0;
  Restart();
}

void KeywordSpotter::Restart() {
  filter_.Reset();
  windows_ = 0;
  until_window_ = 0;
}

bool KeywordSpotter::Feed(const int16_t* pcm, size_t count) {
  bool is_fine = interpreter_.has_value();
  uint16_t features[SWR_FRONTEND_CHANNELS];
  while (swr_frontend_push(&frontend_, &pcm, &count, features)) {
    swr_frames_add(&frames_, features);
    ++heard_;
    is_fine = (!interpreter_ || HearFrame()) && is_fine;
  }
  return is_fine;
}

bool KeywordSpotter::HearFrame() {
  if (until_window_ > 0) {
    --until_window_;
    return true;
  }
  if (!swr_frames_read(&frames_, &input_scale_, input_)) {
    return true; /* There are too few yet. */
  }
  until_window_ = kStrideFrames - 1;
  if (interpreter_->Invoke() != kTfLiteOk) {
    return false;
  }
  ++windows_;
  const int found = filter_.Push(output_);
  if (found != PosteriorFilter::kNone) {
    callback_(context_, {labels_.names[found], HeardMs(), static_cast<float>(filter_.score())});
  }
  return true;
}

uint64_t KeywordSpotter::HeardMs() const {
  const uint64_t samples = (heard_ - 1) * SWR_FRONTEND_HOP + SWR_FRONTEND_WINDOW;
  return samples * kMsPerSecond / SWR_FRONTEND_SAMPLE_RATE_HZ;
}

bool KeywordSpotter::ApplyPatch(const uint8_t* patch, uint32_t bytes, SwrWrite write,
                                void* context) {
  const bool is_written = bundle_.image != nullptr &&
                          swr_bundle_apply(&bundle_, patch, bytes, write, context);
  return Open(bundle_.image, bundle_.bytes) && is_written;
}

bool KeywordSpotter::Open(const uint8_t* image, uint32_t bytes) {
  const bool is_open = swr_bundle_open(&bundle_, image, bytes);
  if (!is_open) {
    bundle_ = {};
  }
  return is_open;
}

}  // namespace swr
