import type { Arrival, SignedUp } from '@io/marketplace';

const escaped = (text: string) =>
  text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);

const page = (title: string, body: string) =>
  `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title></head><body><h1>${escaped(title)}</h1>\n${body}\n</body></html>\n`;

const WAITS =
  '<p>AWS has not confirmed the subscription yet, which takes a few minutes. Access starts when it has.</p>';

/** What somebody sees who comes from the marketplace: their agreement, or how to sign up for it. */
export function arrivalPage({ productName, state, claim }: Arrival): string {
  const status = state === 'active' ? '<p>The subscription is active.</p>' : WAITS;
  if (claim === null)
    return page(
      productName,
      `${status}\n<p>It belongs to your account already: sign in as usual.</p>`,
    );
  return page(
    productName,
    `${status}
<form method="post" action="/marketplace/sign-up">
<input type="hidden" name="claim" value="${escaped(claim)}">
<p><label>Organisation <input name="name" required maxlength="256"></label></p>
<p><label>E-mail <input name="email" type="email" maxlength="254"></label></p>
<p><button>Sign up</button></p>
</form>
<p>Already a customer? Add the subscription to your account with this code, within four hours: <code>${escaped(claim)}</code></p>`,
  );
}

/** What somebody sees who signed up: their token, once. */
export const signedUpPage = ({ customerId, state, token }: SignedUp): string =>
  page(
    'Welcome',
    `${state === 'active' ? '' : WAITS}
<p>Your customer id: <code>${escaped(customerId)}</code></p>
<p>Your token, which is shown only now: <code>${escaped(token)}</code></p>`,
  );

/** Why it did not work, for people. */
export const refusalPage = (message: string): string =>
  page('That did not work', `<p>${escaped(message)}</p>`);
