#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>

#include "core/buffer.h"
#include "select/dots.h"
#include "select/strategies.h"

namespace warp {
namespace {

constexpr size_t kTask = 256;        // documents that one worker takes
constexpr double kRounding = 1e-14;  // of a cosine in double precision

double cosine(double along, double norm2) { return norm2 > 0 ? along / std::sqrt(norm2) : -1; }

// Of a document whose product with the sum G is known but for rounding: the cosine of G + g is between these.
struct Range {
  double low, high;
};

// Of the sum G of the picks.
struct State {
  double along = 0, norm2 = 0;  // ⟨G, v⟩/‖v‖, ‖G‖²
  double length = 0;            // Σ ‖g‖ of the picks whose products were added up in single precision
};
struct Sum {
  State state;
  std::vector<double> written;
  std::vector<uint32_t> left;  // by group: how many may still be chosen
};

// Documents, and their products with G.
struct Level {
  std::unique_ptr<Candidates> copies;  // null: all documents
  Candidates* documents = nullptr;
  std::vector<double> along, norm2, known;
  std::vector<double> length;   // ‖g‖, rounded up
  std::vector<uint32_t> group;  // empty: none
  std::vector<uint8_t> open;
  size_t ahead = 0;  // picks that are tried next
  bool few = false;  // all documents are looked at for every pick

  size_t count() const { return along.size(); }
};

struct Trial {
  std::vector<uint32_t> document;
  std::vector<double> cosine;
  std::vector<State> state;      // before each pick, and after the last
  std::vector<uint32_t> closed;  // by group: the step from which on it has no room
};

// Some picks at a time are tried among the documents that are nearest to being chosen. Then the products of all
// documents with these picks, a matrix product, say of every document and step whether it might have been better: the
// picks before the first such step stand. The near documents are dealt with in the same way, until there are few.
// Products are in single precision with their error's bound; the choice among documents that these leave open is made
// by ⟨G, g⟩ in double precision, from G itself.
class Search {
 public:
  Search(double error, const Tries& tries, Threads& threads, Context& context)
      : error_(error), tries_(tries), threads_(threads), context_(context) {}

  // At most `most` further picks, which are added to the sum; none: no document is left.
  Trial extend(Level& level, Sum& sum, size_t most, const std::function<void(size_t)>& report) {
    Trial trial;
    trial.state.push_back(sum.state);
    for (uint32_t room : sum.left) trial.closed.push_back(room > 0 ? uint32_t(-1) : 0);
    if (level.few) {
      extend_few(level, sum, most, trial);
      return trial;
    }
    while (trial.document.size() < most) {
      const std::vector<uint32_t> near = nearest(level, sum);
      if (near.empty()) break;
      Level closer = choose(level, near);
      Sum after = sum;
      const size_t ahead = std::min(std::max(level.ahead, tries_.least), most - trial.document.size());
      Trial tried = extend(closer, after, ahead, [](size_t) {});
      for (uint32_t& i : tried.document) i = near[i];
      const size_t sure = confirm(level, tried, near);
      for (size_t t = 0; t < sure; t++) take(level, sum, tried.document[t], tried.cosine[t], tried.state[t + 1], trial);
      level.ahead = std::min(2 * sure, tries_.most);
      report(trial.document.size());
    }
    return trial;
  }

  // Calls with some documents of a level at a time, which are in memory meanwhile.
  template <class Body>
  void each(const Level& level, const Body& body) {
    level.documents->stream([&](size_t first, size_t count) {
      threads_.parallel((count + kTask - 1) / kTask, [&](size_t task, int) {
        context_.check();
        body(first + task * kTask, std::min(kTask, count - task * kTask));
      });
    });
  }

 private:
  static bool open(const Level& level, const Sum& sum, size_t i) {
    return level.open[i] && (sum.left.empty() || sum.left[level.group[i]] > 0);
  }

  Range range(const Level& level, const State& s, size_t i, double product) const {
    const double error = error_ * s.length * level.length[i];
    const double along = s.along + level.along[i], norm2 = s.norm2 + 2 * product + level.norm2[i];
    if (norm2 - 2 * error <= 0) return {-INFINITY, INFINITY};  // nothing is certain
    const double a = cosine(along, norm2 - 2 * error), b = cosine(along, norm2 + 2 * error);
    return {std::min(a, b) - kRounding, std::max(a, b) + kRounding};
  }

  // One after the other, with all products brought up to date.
  void extend_few(Level& level, Sum& sum, size_t most, Trial& trial) {
    std::vector<Range> ranges(level.count());
    while (trial.document.size() < most) {
      context_.check();
      double floor = -INFINITY, best = -INFINITY, product = 0;
      for (size_t i = 0; i < level.count(); i++) {
        if (!open(level, sum, i)) continue;
        ranges[i] = range(level, sum.state, i, level.known[i]);
        floor = std::max(floor, ranges[i].low);
      }
      size_t chosen = level.count();
      for (size_t i = 0; i < level.count(); i++) {
        if (!open(level, sum, i) || ranges[i].high < floor) continue;
        const double exact = level.documents->against(sum.written.data(), i);
        const double here = cosine(sum.state.along + level.along[i], sum.state.norm2 + 2 * exact + level.norm2[i]);
        if (chosen < level.count() && !(here > best)) continue;
        best = here;
        chosen = i;
        product = exact;
      }
      if (chosen == level.count()) return;
      State s = sum.state;
      s.norm2 += 2 * product + level.norm2[chosen];
      s.along += level.along[chosen];
      s.length += level.length[chosen];
      take(level, sum, uint32_t(chosen), best, s, trial);
      for (size_t i = 0; i < level.count(); i++)
        if (level.open[i]) level.known[i] += level.documents->quick_product(i, chosen);
    }
  }

  void take(Level& level, Sum& sum, uint32_t i, double cosine, const State& after, Trial& trial) {
    trial.document.push_back(i);
    trial.cosine.push_back(cosine);
    trial.state.push_back(after);
    level.documents->add(sum.written.data(), i, 1);
    level.open[i] = 0;
    sum.state = after;
    if (!sum.left.empty() && --sum.left[level.group[i]] == 0)
      trial.closed[level.group[i]] = uint32_t(trial.document.size());
  }

  // The documents that may be the next pick, and as many more of the best as are tried from; by their order.
  std::vector<uint32_t> nearest(const Level& level, const Sum& sum) const {
    std::vector<double> high(level.count());
    std::vector<uint32_t> order;
    double floor = -INFINITY;
    for (uint32_t i = 0; i < level.count(); i++) {
      if (!open(level, sum, i)) continue;
      const Range here = range(level, sum.state, i, level.known[i]);
      high[i] = here.high;
      floor = std::max(floor, here.low);
      order.push_back(i);
    }
    const size_t wanted = std::max(tries_.few, std::min(level.count() / tries_.share, level.documents->room()));
    if (order.size() > wanted) {
      const auto better = [&](uint32_t a, uint32_t b) { return high[a] > high[b] || (high[a] == high[b] && a < b); };
      const auto rest = order.begin() + std::ptrdiff_t(wanted);
      std::nth_element(order.begin(), rest, order.end(), better);
      order.erase(std::remove_if(rest, order.end(), [&](uint32_t i) { return high[i] < floor; }), order.end());
    }
    std::sort(order.begin(), order.end());
    return order;
  }

  Level choose(const Level& level, const std::vector<uint32_t>& documents) const {
    Level some;
    some.few = documents.size() <= tries_.few || 2 * documents.size() > level.count();  // as where all are alike
    some.copies = level.documents->some(documents);
    some.documents = some.copies.get();
    some.open.assign(documents.size(), 1);
    for (uint32_t i : documents) {
      some.along.push_back(level.along[i]);
      some.norm2.push_back(level.norm2[i]);
      some.known.push_back(level.known[i]);
      some.length.push_back(level.length[i]);
      if (!level.group.empty()) some.group.push_back(level.group[i]);
    }
    return some;
  }

  // How many of the picks stand; brings the products of all documents up to date with them.
  size_t confirm(Level& level, const Trial& trial, const std::vector<uint32_t>& near) {
    const size_t picks = trial.document.size();
    std::vector<Bar> bars(picks);
    for (size_t t = 0; t < picks; t++) {
      const State& s = trial.state[t];
      const double bar = std::max(0.0, trial.cosine[t]);
      bars[t] = {s.along, s.norm2, 2 * error_ * s.length, bar * bar * (1 - 1e-9)};
    }
    std::vector<uint8_t> asked = level.open;
    for (uint32_t i : near) asked[i] = 0;
    std::atomic<size_t> sure{picks};
    std::vector<double> known = add_up(level, trial, picks, [&](size_t i, const double* product) {
      if (!asked[i]) return;
      size_t end = sure.load(std::memory_order_relaxed);
      if (!trial.closed.empty()) end = std::min(end, size_t(trial.closed[level.group[i]]));
      const Bared document{level.along[i], level.norm2[i], level.length[i]};
      for (size_t t = 0; (t = first_above(bars.data(), document, product, t, end)) < end; t++) {
        if (range(level, trial.state[t], i, product[t]).high < trial.cosine[t]) continue;
        for (size_t seen = sure; t < seen && !sure.compare_exchange_weak(seen, t);) continue;
        return;
      }
    });
    level.known = sure == picks ? std::move(known) : add_up(level, trial, sure, [](size_t, const double*) {});
    return sure;
  }

  // Shows `look` each document's products with the sum before each of the picks; returns those after the last.
  template <class Look>
  std::vector<double> add_up(const Level& level, const Trial& trial, size_t picks, const Look& look) {
    const auto panel = level.documents->panel({trial.document.begin(), trial.document.begin() + std::ptrdiff_t(picks)});
    std::vector<double> known(level.count());
    each(level, [&](size_t first, size_t count) {
      Buffer<float> products(count * picks);
      panel->products(first, count, products.data());
      std::vector<double> product(picks + 1);
      for (size_t i = first; i < first + count; i++) {
        product[0] = level.known[i];
        for (size_t t = 0; t < picks; t++)
          product[t + 1] = product[t] + double(products.data()[(i - first) * picks + t]);
        look(i, product.data());
        known[i] = product[picks];
      }
    });
    return known;
  }

  const double error_;
  const Tries& tries_;
  Threads& threads_;
  Context& context_;
};

}  // namespace

Picks greedy(Candidates& candidates, const std::vector<double>& along, const std::vector<double>& norm2,
             const Choice& choice, size_t batch, Threads& threads, Context& context, const Tries& tries) {
  Search search(candidates.quick_error(), tries, threads, context);
  const std::vector<double> zeros(along.size(), 0.0);
  Level all;
  all.documents = &candidates;
  all.along = along;
  all.norm2 = norm2;
  all.known = all.length = zeros;
  all.group = choice.group;
  all.open = choice.allowed;
  all.few = along.size() <= tries.few;
  search.each(all, [&](size_t first, size_t count) {
    for (size_t i = first; i < first + count; i++) all.length[i] = 1.000001 * std::sqrt(candidates.product(i, i));
  });
  Sum sum{{}, std::vector<double>(candidates.size()), choice.quota};
  Picks picks;
  while (picks.document.size() < choice.count) {
    const size_t done = picks.document.size(), in_batch = batch > 0 ? done % batch : done;
    sum.state.length = 0;
    if (in_batch == 0) {
      sum.state = {};
      std::fill(sum.written.begin(), sum.written.end(), 0.0);
      all.known = zeros;
    } else {  // products from G itself: what was lost by adding them up in single precision does not grow
      search.each(all, [&](size_t first, size_t count) {
        for (size_t i = first; i < first + count; i++) all.known[i] = candidates.against(sum.written.data(), i);
      });
    }
    const size_t room = batch > 0 ? batch - in_batch : choice.count;
    const Trial trial = search.extend(all, sum, std::min({choice.count - done, room, tries.stale}), [&](size_t more) {
      picks.passes++;
      context.progress(double(done + more), double(choice.count));
    });
    if (trial.document.empty()) break;
    picks.document.insert(picks.document.end(), trial.document.begin(), trial.document.end());
    picks.cosine.insert(picks.cosine.end(), trial.cosine.begin(), trial.cosine.end());
  }
  return picks;
}

}  // namespace warp
