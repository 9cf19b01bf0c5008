// Documents that explain a displacement: features, and choices among them. See lib/native/types.ts for the requests.
#include <algorithm>
#include <memory>
#include <utility>

#include "binding/handles.h"
#include "binding/program.h"
#include "binding/select.h"
#include "binding/task.h"
#include "select/features.h"
#include "select/gradient_sketch.h"
#include "select/precondition.h"
#include "select/strategies.h"

namespace warp {
namespace {

constexpr napi_type_tag kCandidatesTag = {0x7761727073656c65ull, 0x1ull};

Scope scope_of(const Napi::Object& o) { return get_string(o, "scope") == "top" ? Scope::kTop : Scope::kHead; }

// What lib has promised of texts and points.
void check_texts(const Program& program, const PackedTexts& texts, size_t points) {
  if (points == 0 || texts.offsets.size() < 2 || texts.offsets[0] != 0 || texts.offsets.back() != texts.ids.size())
    throw internal_error("features: arrays of different lengths");
  if (program.language && texts.targets.size() != texts.ids.size()) throw internal_error("features: targets");
  for (size_t t = 0; t < texts.texts(); t++) {
    const uint32_t begin = texts.offsets[t], end = texts.offsets[t + 1];
    if (end <= begin || end - begin > program.positions) throw internal_error("features: text length");
  }
  for (uint32_t id : texts.ids)
    if (id >= program.vocabulary) throw internal_error("features: token id out of range");
  for (uint8_t type : texts.types)
    if (type >= std::max<size_t>(1, program.types)) throw internal_error("features: token type out of range");
}

std::shared_ptr<FeatureJob> parse_features(const Napi::Object& o) {
  auto job = std::make_shared<FeatureJob>();
  job->path = path_of(o.Get("path"));
  job->program = parse_program(o.Get("network").As<Napi::Object>());
  parse_packed(o, job->texts);
  job->label = get_int32s(o, "label");
  job->scope = scope_of(o);
  job->at_base = get_bool(o, "atBase");
  job->threads = std::max(1, int(get_number(o, "threads")));
  job->memory = uint64_t(get_number(o, "memory"));
  check_texts(job->program, job->texts, job->points());
  if (job->program.language || job->texts.texts() != job->label.size())
    throw internal_error("features: arrays of different lengths");
  for (int32_t label : job->label)
    if (label >= int32_t(job->program.outputs)) throw internal_error("features: label out of range");
  return job;
}

// selectFeatures(request, onProgress)
Napi::Value select_features(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto job = parse_features(call[0].As<Napi::Object>());
    const auto found = std::make_shared<Features>();
    return start_task(
        call.Env(), call[1], [=](Context& context) { *found = make_features(*job, context); },
        [=](Napi::Env env) -> Napi::Value {
          Napi::Object o = Napi::Object::New(env);
          Napi::Int32Array label = Napi::Int32Array::New(env, found->label.size());
          std::copy(found->label.begin(), found->label.end(), label.Data());
          Napi::Array pieces = Napi::Array::New(env);
          for (const Factors& p : feature_pieces(job->program, job->scope, job->points()))
            for (uint32_t value : {p.u, p.u_size, p.w, p.w_size})
              pieces.Set(pieces.Length(), Napi::Number::New(env, value));
          o.Set("pieces", pieces);
          o.Set("label", label);
          o.Set("rows", to_float32_array(env, found->rows));
          o.Set("along", to_float64_array(env, found->along));
          o.Set("norm2", to_float64_array(env, found->norm2));
          o.Set("probability", to_float32_array(env, found->probability));
          o.Set("loss", to_float64_array(env, found->loss));
          return o;
        });
  });
}

// sketchGradients(request, onProgress)
Napi::Value sketch_of(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const Napi::Object o = call[0].As<Napi::Object>();
    auto job = std::make_shared<SketchJob>();
    job->path = path_of(o.Get("path"));
    job->program = parse_program(o.Get("network").As<Napi::Object>());
    parse_packed(o, job->texts);
    parse_learned(o, job->program, job->texts, job->label);
    job->outputs = get_bool(o, "outputs");
    job->at_base = get_bool(o, "atBase");
    job->size = size_t(get_number(o, "size"));
    job->seed = uint64_t(get_number(o, "seed"));
    job->exact = size_t(get_number(o, "exact"));
    job->threads = std::max(1, int(get_number(o, "threads")));
    job->memory = uint64_t(get_number(o, "memory"));
    check_texts(job->program, job->texts, job->points());
    if (job->size == 0 || (job->size & (job->size - 1)) != 0 || job->exact > job->texts.texts() ||
        (job->outputs && !job->program.language) || (!job->program.language && job->label.size() != job->texts.texts()))
      throw internal_error("sketch: request");
    const auto found = std::make_shared<Sketches>();
    return start_task(
        call.Env(), call[1], [=](Context& context) { *found = sketch_gradients(*job, context); },
        [=](Napi::Env env) -> Napi::Value {
          Napi::Object result = Napi::Object::New(env);
          result.Set("rows", to_float32_array(env, found->rows));
          result.Set("norm2", to_float64_array(env, found->norm2));
          result.Set("along", to_float64_array(env, found->along));
          result.Set("loss", to_float64_array(env, found->loss));
          result.Set("exact", to_float64_array(env, found->exact));
          return result;
        });
  });
}

// openFactored(pieces: number[]) → handle; appendFactored(handle, rows)
Napi::Value open_factored(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const Napi::Array list = call[0].As<Napi::Array>();
    const auto number = [&](uint32_t i) { return list.Get(i).As<Napi::Number>().Uint32Value(); };
    std::vector<Factors> pieces;
    for (uint32_t i = 0; i + 3 < list.Length(); i += 4)
      pieces.push_back({number(i), number(i + 1), number(i + 2), number(i + 3)});
    return box<Candidates>(call.Env(), std::make_shared<FactoredCandidates>(std::move(pieces)), kCandidatesTag);
  });
}

template <class T>
std::shared_ptr<T> candidates_of(const Napi::Value& handle) {
  auto found = std::dynamic_pointer_cast<T>(unbox<Candidates>(handle, kCandidatesTag, "candidates"));
  if (!found) throw internal_error("candidates of another kind");
  return found;
}

Napi::Value append_factored(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto candidates = candidates_of<FactoredCandidates>(call[0]);
    const auto rows = call[1].As<Napi::Float32Array>();
    if (rows.ElementLength() % candidates->width() != 0) throw internal_error("rows of another width");
    candidates->rows().append(rows.Data(), rows.ElementLength() / candidates->width());
    return call.Env().Undefined();
  });
}

// appendFactoredFile(handle, {path, offset, count, room}): rows that stay in a file; copies of `room` at most are in
// memory
Napi::Value append_factored_file(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    RowStore& rows = candidates_of<FactoredCandidates>(call[0])->rows();
    const Napi::Object o = call[1].As<Napi::Object>();
    rows.append_file(get_string(o, "path"), uint64_t(get_number(o, "offset")), size_t(get_number(o, "count")));
    rows.set_room(size_t(get_number(o, "room")));
    return call.Env().Undefined();
  });
}

// preconditionFactored(handle, {path, network, scope, atBase, q, allowed, threads}, onProgress) → {along, norm2}
Napi::Value precondition_factored(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto candidates = candidates_of<FactoredCandidates>(call[0]);
    const Napi::Object o = call[1].As<Napi::Object>();
    const auto of = std::make_shared<Directions>();
    of->path = path_of(o.Get("path"));
    of->program = parse_program(o.Get("network").As<Napi::Object>());
    of->scope = scope_of(o);
    of->at_base = get_bool(o, "atBase");
    const double q = get_number(o, "q");
    const auto allowed = std::make_shared<std::vector<uint8_t>>(get_bytes(o, "allowed"));
    if (allowed->size() != candidates->count()) throw internal_error("select: one flag for each document");
    const int count = std::max(1, int(get_number(o, "threads")));
    const auto found = std::make_shared<DocumentNumbers>();
    return start_task(
        call.Env(), call[2],
        [=](Context& context) {
          Threads threads(count);
          *found = precondition(*candidates, *of, q, *allowed, threads, context);
        },
        [=](Napi::Env env) -> Napi::Value {
          Napi::Object result = Napi::Object::New(env);
          result.Set("along", to_float64_array(env, found->along));
          result.Set("norm2", to_float64_array(env, found->norm2));
          return result;
        });
  });
}

// openSparse(coordinates) → handle; appendSparse(handle, {offsets, index, value})
Napi::Value open_sparse(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const size_t size = size_t(call[0].As<Napi::Number>().Int64Value());
    return box<Candidates>(call.Env(), std::make_shared<SparseCandidates>(size), kCandidatesTag);
  });
}

Napi::Value append_sparse(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto candidates = candidates_of<SparseCandidates>(call[0]);
    const Napi::Object o = call[1].As<Napi::Object>();
    const std::vector<uint32_t> offsets = get_uint32s(o, "offsets"), index = get_uint32s(o, "index");
    const auto value = o.Get("value").As<Napi::Float32Array>();
    if (offsets.empty() || offsets.back() != index.size() || index.size() != value.ElementLength())
      throw internal_error("sparse rows of different lengths");
    for (uint32_t i : index)
      if (i >= candidates->size()) throw internal_error("a coordinate out of range");
    candidates->append(offsets.data(), offsets.size() - 1, index.data(), value.Data());
    return call.Env().Undefined();
  });
}

Choice parse_choice(const Napi::Object& o, size_t documents) {
  Choice choice;
  choice.allowed = get_bytes(o, "allowed");
  choice.count = size_t(get_number(o, "count"));
  if (o.Has("quota")) {
    choice.quota = get_uint32s(o, "quota");
    choice.group = get_uint32s(o, "group");
    if (choice.group.size() != documents) throw internal_error("choice: one group for each document");
    for (uint32_t g : choice.group)
      if (g >= choice.quota.size()) throw internal_error("choice: a group without quota");
  }
  if (choice.allowed.size() != documents) throw internal_error("choice: one flag for each document");
  return choice;
}

Napi::Value numbers(Napi::Env env, const std::vector<uint32_t>& values) {
  Napi::Uint32Array array = Napi::Uint32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

// rankDocuments({score, allowed, count, group?, quota?}) → Uint32Array
Napi::Value rank_documents(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const Napi::Object o = call[0].As<Napi::Object>();
    const auto score = std::make_shared<std::vector<double>>(get_doubles(o, "score"));
    const auto choice = std::make_shared<Choice>(parse_choice(o, score->size()));
    const auto picked = std::make_shared<std::vector<uint32_t>>();
    return start_task(
        call.Env(), call.Env().Undefined(), [=](Context&) { *picked = rank(*score, *choice); },
        [=](Napi::Env env) { return numbers(env, *picked); });
  });
}

struct Given {
  std::shared_ptr<Candidates> candidates;
  std::vector<double> along, norm2;
};

std::shared_ptr<Given> parse_given(const Napi::Value& handle, const Napi::Object& o) {
  auto given = std::make_shared<Given>();
  given->candidates = unbox<Candidates>(handle, kCandidatesTag, "candidates");
  given->along = get_doubles(o, "along");
  given->norm2 = get_doubles(o, "norm2");
  const size_t count = given->candidates->count();
  if (given->along.size() != count || given->norm2.size() != count)
    throw internal_error("select: one number for each document");
  return given;
}

// greedyDocuments(candidates, {along, norm2, allowed, count, group?, quota?, batch, threads}, onProgress)
Napi::Value greedy_documents(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const Napi::Object o = call[1].As<Napi::Object>();
    const auto given = parse_given(call[0], o);
    const auto choice = std::make_shared<Choice>(parse_choice(o, given->along.size()));
    const size_t batch = size_t(get_number(o, "batch"));
    const int count = std::max(1, int(get_number(o, "threads")));
    const auto picks = std::make_shared<Picks>();
    return start_task(
        call.Env(), call[2],
        [=](Context& context) {
          Threads threads(count);
          *picks = greedy(*given->candidates, given->along, given->norm2, *choice, batch, threads, context);
        },
        [=](Napi::Env env) -> Napi::Value {
          Napi::Object result = Napi::Object::New(env);
          result.Set("document", numbers(env, picks->document));
          result.Set("cosine", to_float64_array(env, picks->cosine));
          result.Set("passes", double(picks->passes));
          return result;
        });
  });
}

// matchDocuments(candidates, {along, norm2, allowed, sweeps, tolerance}, onProgress) → weights
Napi::Value match_documents(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const Napi::Object o = call[1].As<Napi::Object>();
    const auto given = parse_given(call[0], o);
    const auto allowed = std::make_shared<std::vector<uint8_t>>(get_bytes(o, "allowed"));
    if (allowed->size() != given->along.size()) throw internal_error("select: one flag for each document");
    const size_t sweeps = size_t(get_number(o, "sweeps"));
    const double tolerance = get_number(o, "tolerance");
    const auto weights = std::make_shared<std::vector<double>>();
    return start_task(
        call.Env(), call[2],
        [=](Context& context) {
          *weights = matching(*given->candidates, given->along, given->norm2, *allowed, sweeps, tolerance, context);
        },
        [=](Napi::Env env) { return to_float64_array(env, *weights); });
  });
}

// productOf(candidates, i, j): for tests against gradients that are written out
Napi::Value product_of(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto candidates = unbox<Candidates>(call[0], kCandidatesTag, "candidates");
    const size_t i = call[1].As<Napi::Number>().Uint32Value(), j = call[2].As<Napi::Number>().Uint32Value();
    if (i >= candidates->count() || j >= candidates->count()) throw internal_error("no such document");
    return Napi::Number::New(call.Env(), candidates->product(i, j));
  });
}

}  // namespace

void register_select(Napi::Env env, Napi::Object exports) {
  exports.Set("selectFeatures", Napi::Function::New(env, select_features));
  exports.Set("sketchGradients", Napi::Function::New(env, sketch_of));
  exports.Set("openFactored", Napi::Function::New(env, open_factored));
  exports.Set("appendFactored", Napi::Function::New(env, append_factored));
  exports.Set("appendFactoredFile", Napi::Function::New(env, append_factored_file));
  exports.Set("preconditionFactored", Napi::Function::New(env, precondition_factored));
  exports.Set("openSparse", Napi::Function::New(env, open_sparse));
  exports.Set("appendSparse", Napi::Function::New(env, append_sparse));
  exports.Set("rankDocuments", Napi::Function::New(env, rank_documents));
  exports.Set("greedyDocuments", Napi::Function::New(env, greedy_documents));
  exports.Set("matchDocuments", Napi::Function::New(env, match_documents));
  exports.Set("productOf", Napi::Function::New(env, product_of));
}

}  // namespace warp
