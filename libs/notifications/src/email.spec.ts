import { describe, expect, it } from 'vitest';
import { composeEmail } from './email.js';

const compose = (change: { recipient?: string; subject?: string; paragraphs?: string[] }) =>
  composeEmail({
    recipient: 'ada@example.com',
    subject: 'Usage',
    paragraphs: ['Hello'],
    ...change,
  });

describe('composeEmail', () => {
  it('says the same in both forms', () => {
    expect(compose({ paragraphs: ['One', 'Two'] })).toMatchObject({
      text: 'One\n\nTwo\n',
      html: expect.stringContaining('<p>One</p>\n<p>Two</p>'),
    });
  });

  it.each([
    { subject: 'Usage\r\nBcc: eve@example.com', why: 'a subject of two lines' },
    { subject: 'Usage\nBcc: eve@example.com', why: 'a bare line feed' },
    { subject: 'Usage\u2028x', why: 'a line separator' },
    { subject: 'Usage\u0000', why: 'a control character' },
    { recipient: 'ada@example.com\r\nBcc: eve@example.com', why: 'a recipient of two lines' },
    { recipient: 'ada@example.com, eve@example.com', why: 'two recipients' },
    { recipient: 'Ada <ada@example.com>', why: 'a recipient with a name' },
    { recipient: 'nobody', why: 'no address' },
  ])('refuses $why', ({ why: _, ...change }) => {
    expect(() => compose(change)).toThrow('one line');
  });

  it('shows markup instead of obeying it', () => {
    const { html } = compose({ paragraphs: [`<img src=x onerror="alert('1')">&`] });
    expect(html).toContain('&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;');
    expect(html).not.toContain('<img');
  });
});
