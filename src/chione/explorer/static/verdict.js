// The verdict in words.

export function verdictOf(network, activation, map, found) {
  return { kind: found.phase, title: found.phase, sentences: [found.message].filter(Boolean) };
}
