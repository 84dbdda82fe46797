import { describe, expect, it } from 'vitest';
import { exposition, histogramSamples } from './exposition.js';

describe('exposition', () => {
  it('writes what Prometheus reads', () => {
    const text = exposition([
      {
        name: 'a_total',
        help: 'Things.',
        type: 'counter',
        samples: [{ value: 3, labels: { face: 'x', reason: '' } }, { value: 0.5 }],
      },
      { name: 'b', help: 'None.', type: 'gauge', samples: [] },
    ]);
    expect(text).toBe(
      '# HELP a_total Things.\n# TYPE a_total counter\na_total{face="x",reason=""} 3\na_total 0.5\n' +
        '# HELP b None.\n# TYPE b gauge\n',
    );
  });

  it('escapes what would end a label', () => {
    const samples = [{ value: 1, labels: { v: 'a"b\\c\nd' } }];
    expect(exposition([{ name: 'a', help: '', type: 'gauge', samples }])).toContain(
      'a{v="a\\"b\\\\c\\nd"} 1\n',
    );
  });
});

describe('histogramSamples', () => {
  it('adds the classes up', () => {
    const counts = { boundsSeconds: [0.001, 0.01], counts: [2, 0, 5], sumSeconds: 1.5 };
    const text = exposition([
      { name: 'd', help: '', type: 'histogram', samples: histogramSamples(counts, { op: 'x' }) },
    ]);
    expect(text.split('\n').slice(2, -1)).toEqual([
      'd_bucket{op="x",le="0.001"} 2',
      'd_bucket{op="x",le="0.01"} 2',
      'd_bucket{op="x",le="+Inf"} 7',
      'd_sum{op="x"} 1.5',
      'd_count{op="x"} 7',
    ]);
  });
});
