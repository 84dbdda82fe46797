import { describe, expect, it } from 'vitest';
import { PRESETS, readLogFormat } from './log-format.js';

describe('readLogFormat', () => {
  it('takes from the preset what the file does not say', () => {
    const format = readLogFormat('{ "preset": "caddy", "fields": { "status": "code" } }', 'a.json');
    expect(format).toEqual({
      ...PRESETS['caddy'],
      name: 'a.json',
      sources: { ...PRESETS['caddy']?.sources, status: { path: ['code'], pattern: null } },
    });
    expect(readLogFormat('{}', 'a.json')).toEqual({ ...PRESETS['nginx'], name: 'a.json' });
  });

  it.each([
    { text: '', says: ['a.json:1: expected a value'] },
    { text: '{\n  "preset": nginx\n}', says: ['a.json:2: expected a value'] },
    { text: '{\n\n  "preset": "nginx",\n}', says: ['a.json:4: expected what follows ","'] },
    { text: '{"preset": "nginx"}\n{}', says: ['a.json:2: expected the end'] },
    {
      text: '{"preset": "nginx",\n"preset": "caddy"}',
      says: ['a.json:2: expected "preset" once'],
    },
    { text: '[]', says: ['a.json:1: must be an object'] },
    {
      text: '{\n"preset": "apache",\n"prefix": 1,\n"passed": [],\n"field": {}\n}',
      says: [
        'a.json:2: preset: must be one of: nginx, haproxy, envoy, caddy',
        'a.json:3: prefix: must be true or false',
        'a.json:4: passed: must be a list of texts',
        'a.json:5: field: is not known; known are preset, fields, passed, prefix',
      ],
    },
    {
      text: `{
        "fields": {
          "keyID": "key",
          "status": 200,
          "method": { "field": "m", "value": "GET" },
          "apiId": { "value": "" },
          "stage": { "field": [] },
          "keyId": {
            "field": "a",
            "pattern": "(",
            "flags": "i"
          },
          "resourcePath": { "field": "a", "pattern": "no group" }
        } }`,
      says: [
        'a.json:3: fields.keyID: is not known; known are decision, keyId, apiId, stage, method, resourcePath, status, bytesOut, protocol, tollgateTime, time',
        'a.json:4: fields.status: must be a name such as "request.method", or an object with "field" and perhaps "pattern", or with "value"',
        'a.json:5: fields.method: must be a name such as "request.method", or an object with "field" and perhaps "pattern", or with "value"',
        'a.json:6: fields.apiId.value: must be a text',
        'a.json:7: fields.stage.field: must be a name, or a list of names from the outside in',
        'a.json:10: fields.keyId.pattern: must be a regular expression with a group',
        'a.json:11: fields.keyId.flags: is not known; known are field, pattern',
        'a.json:13: fields.resourcePath.pattern: must be a regular expression with a group',
      ],
    },
  ])('names the line and the field: $says.0', ({ text, says }) => {
    expect(() => readLogFormat(text, 'a.json')).toThrow(
      expect.objectContaining({ name: 'LogFormatFault', message: says.join('\n') }),
    );
  });
});
