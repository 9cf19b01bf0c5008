#include "binding/trace.h"

#include <algorithm>
#include <memory>

#include "binding/handles.h"
#include "binding/task.h"
#include "trace/directions.h"
#include "trace/members.h"
#include "trace/pool.h"
#include "trace/rows.h"
#include "trace/tails.h"
#include "trace/tied.h"

namespace warp {
namespace {

int threads_of(const Napi::Object& request) { return std::max(1, int(get_number(request, "threads"))); }

// rowSums(base, reference, {base, reference, rows, baseRows, alpha, threads}, onProgress)
Napi::Value start_row_sums(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto base = weights_of(call[0]), reference = weights_of(call[1]);
    const Napi::Object object = call[2].As<Napi::Object>();
    RowRequest request;
    request.base = get_string(object, "base");
    request.reference = get_string(object, "reference");
    request.rows = get_uint32s(object, "rows");
    request.base_rows = get_uint32s(object, "baseRows");
    request.alpha = get_number(object, "alpha");
    const int count = threads_of(object);
    const auto sums = std::make_shared<std::vector<RowSums>>();
    return start_task(
        call.Env(), call[3],
        [=](Context& context) {
          Threads threads(count);
          *sums = row_sums(*base, *reference, request, threads, context);
        },
        [=](Napi::Env env) -> Napi::Value {
          static_assert(sizeof(RowSums) == 8 * sizeof(double), "a row is eight numbers");
          Napi::Float64Array flat = Napi::Float64Array::New(env, sums->size() * 8);
          if (!sums->empty()) std::copy_n(&(*sums)[0].residual2, sums->size() * 8, flat.Data());
          return flat;
        });
  });
}

// tiedScores(base, reference, {name, fit, columns, threads}, onProgress)
Napi::Value start_tied_scores(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto base = weights_of(call[0]), reference = weights_of(call[1]);
    const Napi::Object object = call[2].As<Napi::Object>();
    TiedRequest request;
    request.base = request.reference = get_string(object, "name");
    request.fit = get_uint32s(object, "fit");
    request.columns = uint32_t(get_number(object, "columns"));
    const int count = threads_of(object);
    const auto scores = std::make_shared<TiedScores>();
    return start_task(
        call.Env(), call[3],
        [=](Context& context) {
          Threads threads(count);
          *scores = tied_scores(*base, *reference, request, threads, context);
        },
        [=](Napi::Env env) -> Napi::Value {
          Napi::Object result = Napi::Object::New(env);
          result.Set("score", to_float64_array(env, scores->score));
          result.Set("base", to_float64_array(env, scores->base));
          result.Set("moved", to_float64_array(env, scores->moved));
          result.Set("along", to_float64_array(env, scores->along));
          result.Set("columns", scores->columns);
          result.Set("fitted", scores->fitted);
          return result;
        });
  });
}

// rowDirections(base, reference, {name, rows, alpha, directions, threads}, onProgress)
Napi::Value start_row_directions(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto base = weights_of(call[0]), reference = weights_of(call[1]);
    const Napi::Object object = call[2].As<Napi::Object>();
    DirectionsRequest request;
    request.name = get_string(object, "name");
    request.rows = get_uint32s(object, "rows");
    request.alpha = get_number(object, "alpha");
    const Napi::Float32Array directions = object.Get("directions").As<Napi::Float32Array>();
    request.directions.assign(directions.Data(), directions.Data() + directions.ElementLength());
    const int count = threads_of(object);
    const auto cosines = std::make_shared<std::vector<double>>();
    return start_task(
        call.Env(), call[3],
        [=](Context& context) {
          Threads threads(count);
          *cosines = row_directions(*base, *reference, request, threads, context);
        },
        [=](Napi::Env env) -> Napi::Value { return to_float64_array(env, *cosines); });
  });
}

constexpr napi_type_tag kPoolTag = {0x7761727054726163ull, 0x1ull};

struct SharedPool {
  Pool pool;
  bool filling = false;  // another thread appends: only the JavaScript thread looks at this
};

std::shared_ptr<SharedPool> idle_pool_of(const Napi::Value& handle) {
  auto shared = unbox<SharedPool>(handle, kPoolTag, "a pool of texts");
  if (shared->filling) throw internal_error("the pool is still being filled, or could not be");
  return shared;
}

std::shared_ptr<Pool> pool_of(const Napi::Value& handle) {
  const auto shared = idle_pool_of(handle);
  return {shared, &shared->pool};
}

// openPool(vocabulary)
Napi::Value open_pool(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const uint32_t vocabulary = call[0].As<Napi::Number>();
    return box(call.Env(), std::make_shared<SharedPool>(SharedPool{Pool(vocabulary)}), kPoolTag);
  });
}

// appendToPool(pool, {offsets, ids, domain, tails}); the caller waits for one before it starts the next
Napi::Value start_append_to_pool(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    struct Texts {
      std::vector<uint32_t> offsets, ids, domain;
      std::vector<uint8_t> tails;  // empty: none
    };
    const auto shared = idle_pool_of(call[0]);
    const Napi::Object object = call[1].As<Napi::Object>();
    const auto texts = std::make_shared<const Texts>(Texts{get_uint32s(object, "offsets"), get_uint32s(object, "ids"),
                                                           get_uint32s(object, "domain"), get_bytes(object, "tails")});
    const size_t count = texts->domain.size();
    if (texts->offsets.size() != count + 1 || texts->offsets.back() > texts->ids.size() ||
        (!texts->tails.empty() && texts->tails.size() != count))
      throw internal_error("texts of the wrong size");
    shared->filling = true;
    return start_task(
        call.Env(), call.Env().Undefined(),
        [=](Context&) {
          shared->pool.append(texts->offsets.data(), texts->ids.data(), texts->domain.data(), count,
                              texts->tails.empty() ? nullptr : texts->tails.data());
        },
        [=](Napi::Env env) {
          shared->filling = false;
          return env.Undefined();
        });
  });
}

std::vector<uint8_t> state_of(const Napi::Object& request, const Pool& pool) {
  std::vector<uint8_t> state = get_bytes(request, "state");
  if (state.size() != pool.vocabulary()) throw internal_error("one state for each token");
  return state;
}

// tailCounts(pool, {state}): 6 × 24, trained and untrained: last tokens, others, each token of the pool once
Napi::Value start_tail_counts(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto pool = pool_of(call[0]);
    const Napi::Object request = call[1].As<Napi::Object>();
    const auto state = state_of(request, *pool);
    const auto counts = std::make_shared<TailCounts>();
    return start_task(
        call.Env(), call.Env().Undefined(), [=](Context&) { *counts = count_tails(*pool, state); },
        [=](Napi::Env env) {
          std::vector<double> flat;
          for (const double* bins : {counts->tail_trained, counts->tail_untrained, counts->inner_trained,
                                     counts->inner_untrained, counts->token_trained, counts->token_untrained})
            flat.insert(flat.end(), bins, bins + TailCounts::kBins);
          return to_float64_array(env, flat);
        });
  });
}

// poolCounts(pool): by token, texts that hold it
Napi::Value start_pool_counts(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto pool = pool_of(call[0]);
    const auto counts = std::make_shared<std::vector<uint32_t>>();
    return start_task(
        call.Env(), call.Env().Undefined(),
        [=](Context&) {
          counts->assign(pool->vocabulary(), 0);
          for (size_t text = 0; text < pool->texts(); text++)
            for (const uint32_t* v = pool->begin(text); v != pool->end(text); v++) (*counts)[*v]++;
        },
        [=](Napi::Env env) -> Napi::Value {
          Napi::Uint32Array array = Napi::Uint32Array::New(env, counts->size());
          std::copy(counts->begin(), counts->end(), array.Data());
          return array;
        });
  });
}

// arrangePool(pool, rank)
Napi::Value start_arrange_pool(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto pool = pool_of(call[0]);
    const Napi::Uint32Array given = call[1].As<Napi::Uint32Array>();
    const std::vector<uint32_t> rank(given.Data(), given.Data() + given.ElementLength());
    const auto order = std::make_shared<std::vector<uint32_t>>();
    return start_task(
        call.Env(), call.Env().Undefined(), [=](Context&) { *order = pool->arrange(rank); },
        [=](Napi::Env env) -> Napi::Value {
          Napi::Uint32Array result = Napi::Uint32Array::New(env, order->size());
          std::copy(order->begin(), order->end(), result.Data());
          return result;
        });
  });
}

// countTails(pool, yes)
Napi::Value set_count_tails(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    pool_of(call[0])->count_tails(call[1].As<Napi::Boolean>());
    return call.Env().Undefined();
  });
}

// state, and pull where scores say more than states
Tokens tokens_of(const Napi::Object& request, const Pool& pool) {
  Tokens tokens{state_of(request, pool), get_doubles(request, "pull")};
  if (tokens.graded() && tokens.pull.size() != pool.vocabulary()) throw internal_error("one score for each token");
  return tokens;
}

std::vector<Estimator> estimators_of(const Napi::Object& request) {
  std::vector<Estimator> estimators;
  const Napi::Array list = request.Get("estimators").As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Object entry = list.Get(i).As<Napi::Object>();
    estimators.push_back({get_number(entry, "strength"), get_bool(entry, "inside")});
  }
  return estimators;
}

// estimates × 2 × D: inside, outside
std::vector<double> flat(const std::vector<Estimate>& estimates) {
  std::vector<double> values;
  for (const Estimate& estimate : estimates) {
    values.insert(values.end(), estimate.inside.begin(), estimate.inside.end());
    values.insert(values.end(), estimate.outside.begin(), estimate.outside.end());
  }
  return values;
}

Napi::Value to_js(Napi::Env env, const Members& members) {
  Napi::Object result = Napi::Object::New(env);
  Napi::Uint32Array survivors = Napi::Uint32Array::New(env, members.survivors.size());
  std::copy(members.survivors.begin(), members.survivors.end(), survivors.Data());
  result.Set("survivors", survivors);
  result.Set("probability", to_float64_array(env, members.probability));
  result.Set("converged", members.converged);
  result.Set("estimates", to_float64_array(env, flat(members.estimates)));
  return result;
}

// findMembers(pool, {state, pull, estimators: [{strength, inside}]}, onProgress)
Napi::Value start_find_members(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto pool = pool_of(call[0]);
    const Napi::Object request = call[1].As<Napi::Object>();
    const Tokens tokens = tokens_of(request, *pool);
    const std::vector<Estimator> estimators = estimators_of(request);
    const auto members = std::make_shared<Members>();
    return start_task(
        call.Env(), call[2], [=](Context& context) { *members = find_members(*pool, tokens, estimators, context); },
        [=](Napi::Env env) { return to_js(env, *members); });
  });
}

// tryMembers(pool, {state, pull, untrained, trained, estimators: [{strength, inside}], inside, outside, hidden, seed,
// threads}, onProgress)
Napi::Value start_try_members(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto pool = pool_of(call[0]);
    const Napi::Object request = call[1].As<Napi::Object>();
    const Tokens tokens = tokens_of(request, *pool);
    const std::vector<Estimator> estimators = estimators_of(request);
    const auto inside = get_uint32s(request, "inside"), outside = get_uint32s(request, "outside"),
               hidden = get_uint32s(request, "hidden");
    const DrawnScores scores{get_doubles(request, "untrained"), get_doubles(request, "trained"),
                             size_t(get_number(request, "parts"))};
    if (tokens.graded() && (scores.untrained.empty() || scores.parts == 0 || scores.trained.size() < scores.parts ||
                            scores.trained.size() % scores.parts != 0))
      throw internal_error("no scores to draw");
    const uint64_t seed = uint64_t(get_number(request, "seed"));
    const uint32_t domains = pool->domains();
    std::vector<Trial> trials(inside.size() / domains);
    for (size_t i = 0; i < trials.size(); i++) {
      trials[i].inside.assign(inside.begin() + i * domains, inside.begin() + (i + 1) * domains);
      trials[i].outside.assign(outside.begin() + i * domains, outside.begin() + (i + 1) * domains);
      trials[i].hidden.assign(hidden.begin() + i * domains, hidden.begin() + (i + 1) * domains);
      trials[i].seed = seed + i;
    }
    const int count = threads_of(request);
    const auto estimates = std::make_shared<std::vector<Estimate>>();
    return start_task(
        call.Env(), call[2],
        [=](Context& context) {
          Threads threads(count);
          *estimates = try_members(*pool, tokens, scores, trials, estimators, threads, context);
        },
        [=](Napi::Env env) { return to_float64_array(env, flat(*estimates)); });
  });
}

}  // namespace

void register_trace(Napi::Env env, Napi::Object exports) {
  exports.Set("rowSums", Napi::Function::New(env, start_row_sums));
  exports.Set("openPool", Napi::Function::New(env, open_pool));
  exports.Set("appendToPool", Napi::Function::New(env, start_append_to_pool));
  exports.Set("rowDirections", Napi::Function::New(env, start_row_directions));
  exports.Set("tiedScores", Napi::Function::New(env, start_tied_scores));
  exports.Set("poolCounts", Napi::Function::New(env, start_pool_counts));
  exports.Set("tailCounts", Napi::Function::New(env, start_tail_counts));
  exports.Set("arrangePool", Napi::Function::New(env, start_arrange_pool));
  exports.Set("countTails", Napi::Function::New(env, set_count_tails));
  exports.Set("findMembers", Napi::Function::New(env, start_find_members));
  exports.Set("tryMembers", Napi::Function::New(env, start_try_members));
}

}  // namespace warp
