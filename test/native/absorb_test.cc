// Attention of one token a text without keys and values: the same outputs as with them.
#include "graph/absorb.h"

#include "check.h"
#include "graph/run.h"
#include "small_models.h"

using namespace warp;

static const Step& attention_of(const Block& block) {
  for (const Step& s : block.steps)
    if (s.kind == StepKind::kAttention) return s;
  throw std::runtime_error("no attention");
}

// The selected rows behind the block, of input that is the same for every call.
static std::vector<float> run(const Ops& ops, const Block& block, const Path& path, const Tile& tile) {
  const Flow flow = make_flow(block, {true, false, true});
  const WeightSource source(path, block.weights);
  BlockPoint weights = source.allocate(ops);
  Threads threads(1);
  source.form(ops, threads, 0, weights);
  const size_t width = block.widths[0], longest = 40;
  std::vector<float> x(tile.tokens() * width), slots(flow.slot_floats(ops, tile.tokens()), NAN),
      rest(flow.rest_floats(ops, longest, false), NAN);
  const Random random(3, "x");
  for (size_t i = 0; i < x.size(); i++) x[i] = float(random.normal(i));
  const std::vector<RopeTable> ropes;
  run_flow({ops, flow, weights, ropes, tile.view(), x.data(), nullptr, slots.data(), rest.data()});
  x.resize(tile.texts * width);
  return x;
}

TEST(outputs_are_those_with_keys_and_values) {
  for (const size_t heads : {1, 2, 12}) {
    small::Sizes sizes;
    sizes.heads = heads;
    sizes.layers = 1;
    const Program program = small::program("bert", sizes);
    PathOptions options;
    options.lambdas = {0.4};
    const Path path(small::weights(program, Dtype::kF32, 1, 0), small::weights(program, Dtype::kBF16, 2, 0.2), options);
    const std::vector<Tile> tiles = cut_tiles(program, small::texts(program, {1, 40, 7, 13, 2, 33}));
    const Block absorbed = absorb_keys(program.layers[0]);
    const Step& attention = attention_of(absorbed);
    CHECK(attention.kv_heads == 1 && attention.b.slot == 0 && attention.c.slot == 0);
    CHECK(absorbed.weights.linears.size() == program.layers[0].weights.linears.size() - 1 + 2 * heads);
    CHECK(absorbed.weights.names() == program.layers[0].weights.names());
    for (const char* isa : {"portable", "avx2", "avx512"}) {
      const Ops* ops = find_cpu_ops(isa);
      if (!ops) continue;
      const std::vector<float> with = run(*ops, program.layers[0], path, tiles[0]),
                               without = run(*ops, absorbed, path, tiles[0]);
      // Both take some 2 · 24 products of size 1 in other orders for each score and each value: 1e-7 · √48 of numbers
      // up to 5 in the exponent, so 4e-6 of the probabilities, and the normalisations behind keep size 1.
      for (size_t i = 0; i < with.size(); i++) CHECK_NEAR(without[i], with[i], 2e-5);
    }
  }
}

static size_t unchanged(const Block& block) { return absorb_keys(block).steps.size() == block.steps.size(); }

TEST(other_attention_is_left_as_it_is) {
  const Block layer = small::program("bert").layers[0];
  CHECK(!unchanged(layer));
  CHECK(unchanged(small::program("gpt2").layers[0]));  // stored inputs × outputs
  const auto with = [&](auto change) {
    Block block = layer;
    for (Step& s : block.steps)
      if (s.kind == StepKind::kAttention) change(block, s);
    return unchanged(block);
  };
  CHECK(with([](Block&, Step& s) { s.softcap = 5; }));
  CHECK(with([](Block&, Step& s) {
    s.kv_heads = 1;
    s.b.width = s.c.width = uint32_t(s.head_size);
  }));
  CHECK(with([](Block& block, Step& s) { block.output = s.b.slot; }));
  CHECK(with([](Block& block, Step& s) { block.steps.back().b = s.b; }));  // somebody else reads keys
  CHECK(with([](Block&, Step& s) { s.b.at += 1; }));                       // keys of two parts
  CHECK(!with([](Block&, Step& s) { std::swap(s.b, s.c); }));
}

TEST_MAIN
