// Reading the node's Prometheus page.

/** The sum of all samples of a metric whose labels contain `labels`, such as `reason="evicted"`; 0 when there is none. */
export async function metric(node, name, labels = '') {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  const samples = [...text.matchAll(new RegExp(`^${name}(\\{[^}]*\\})? (\\S+)$`, 'gm'))];
  return samples.reduce((sum, [, given = '', value]) => (given.includes(labels) ? sum + Number(value) : sum), 0);
}
