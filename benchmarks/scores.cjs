'use strict'
// How well scores tell members from others.

/** Share of pairs of a member and another in which the member has the higher score, equal ones by half. */
function area(scores, member) {
  const order = [...scores.keys()].sort((a, b) => scores[a] - scores[b])
  let below = 0,
    wins = 0
  for (let from = 0, to = 0; from < order.length; from = to) {
    while (to < order.length && scores[order[to]] === scores[order[from]]) to++
    const tied = order.slice(from, to),
      inside = tied.filter((i) => member[i]).length
    wins += inside * (below + (tied.length - inside) / 2)
    below += tied.length - inside
  }
  return wins / (below * (order.length - below))
}

/** Share of the members above all but this share of the others. */
function recall(scores, member, rate) {
  const none = scores.filter((_, i) => !member[i]).sort((a, b) => b - a)
  const limit = none[Math.floor(rate * none.length)]
  const own = scores.filter((_, i) => member[i])
  return own.filter((score) => score > limit).length / own.length
}

module.exports = { area, recall }
