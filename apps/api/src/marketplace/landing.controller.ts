import { Body, Controller, Headers, HttpCode, Post, Req, Res } from '@nestjs/common';
import { ApiBody, ApiConsumes, ApiOkResponse, ApiProduces, ApiTags } from '@nestjs/swagger';
import { RouteConfig } from '@nestjs/platform-fastify';
import { DomainError } from '@core/kernel';
import { LandingService, SnsService } from '@io/marketplace';
import { InvalidRequest, PROBLEM_TYPE, problemHeaders, toProblem } from '@io/platform';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Public } from '../access/access.js';
import { ArrivalView, SignedUpView, SnsOutcomeView } from './notices.dto.js';
import { arrivalPage, refusalPage, signedUpPage } from './landing-page.js';
import { VisitThrottle } from './visit-throttle.js';

const FORM = { rawBody: true, anyType: true, bodyMax: 16 * 1024 };
const SNS = { rawBody: true, anyType: true };
const FORM_TYPE = 'application/x-www-form-urlencoded';
const TOKEN_MAX = 4_096;
const NAME_MAX = 256;

const formSchema = (required: readonly string[], optional: readonly string[]) => ({
  type: 'object' as const,
  required: [...required],
  properties: Object.fromEntries(
    [...required, ...optional].map((name) => [name, { type: 'string' as const }]),
  ),
});

/**
 * Where AWS Marketplace sends buyers, and Amazon SNS its messages: neither has a token of ours. AWS posts a form across sites, so
 * nothing here believes a cookie.
 */
@ApiTags('Marketplace')
@Public()
@Controller('marketplace')
export class LandingController {
  constructor(
    private readonly landing: LandingService,
    private readonly sns: SnsService,
    private readonly throttle: VisitThrottle,
  ) {}

  /** The fulfilment URL of a product: whose the token is, and how they sign up. A page, or JSON to who asks for it. */
  @Post('landing')
  @HttpCode(200)
  @RouteConfig(FORM)
  @ApiConsumes(FORM_TYPE)
  @ApiBody({ schema: formSchema(['x-amzn-marketplace-token'], ['x-amzn-marketplace-offer-type']) })
  @ApiProduces('text/html', 'application/json')
  @ApiOkResponse({ type: ArrivalView })
  async arrive(
    @Req() request: FastifyRequest,
    @Body() body: Buffer,
    @Headers('accept') accept: string | undefined,
    @Res() reply: FastifyReply,
  ) {
    await answer(reply, accept, arrivalPage, () => {
      this.throttle.visit(request);
      const form = formOf(body);
      const token = fieldOf(form, 'x-amzn-marketplace-token', TOKEN_MAX);
      const isFreeTrial = form.get('x-amzn-marketplace-offer-type') === 'free-trial';
      return this.landing.arrive(token, { isFreeTrial });
    });
  }

  /** Makes a customer of who holds a claim; their token is answered once. */
  @Post('sign-up')
  @HttpCode(200)
  @RouteConfig(FORM)
  @ApiConsumes(FORM_TYPE)
  @ApiBody({ schema: formSchema(['claim', 'name'], ['email']) })
  @ApiProduces('text/html', 'application/json')
  @ApiOkResponse({ type: SignedUpView })
  async signUp(
    @Req() request: FastifyRequest,
    @Body() body: Buffer,
    @Headers('accept') accept: string | undefined,
    @Res() reply: FastifyReply,
  ) {
    await answer(reply, accept, signedUpPage, () => {
      this.throttle.visit(request);
      const form = formOf(body);
      const claim = fieldOf(form, 'claim', TOKEN_MAX);
      const name = fieldOf(form, 'name', NAME_MAX);
      const email = form.get('email');
      if (email && !/^[^\s@]{1,64}@[^\s@.]+(\.[^\s@.]+)+$/.test(email))
        throw new InvalidRequest([{ pointer: '/email', detail: 'must be an e-mail address' }]);
      return this.landing.signUp(claim, { name, email: email || null });
    });
  }

  /** Messages of Amazon SNS, believed by their signature. */
  @Post('sns')
  @HttpCode(200)
  @RouteConfig(SNS)
  @ApiConsumes('text/plain')
  @ApiBody({ schema: { type: 'string', description: 'A message of Amazon SNS, as JSON.' } })
  @ApiOkResponse({ type: SnsOutcomeView })
  async message(@Body() body: Buffer) {
    return { outcome: await this.sns.receive(body.toString('utf8')) };
  }
}

/** The form's own decoding is the only one: a token has characters that a second would change. */
const formOf = (body: Buffer | undefined) => new URLSearchParams(body?.toString('utf8') ?? '');

function fieldOf(form: URLSearchParams, name: string, max: number): string {
  const values = form.getAll(name);
  const [value = ''] = values;
  const isOne = values.length === 1 && value.trim() !== '' && value.length <= max;
  // oxlint-disable-next-line no-control-regex -- what Postgres and people refuse
  if (isOne && !/[\u0000-\u001f\u007f]/.test(value) && value.isWellFormed()) return value;
  throw new InvalidRequest([
    { pointer: `/${name}`, detail: `must be there once, with at most ${max} characters` },
  ]);
}

/** Answers a page, or JSON to who asks for it; a refusal likewise. */
async function answer<T>(
  reply: FastifyReply,
  accept: string | undefined,
  page: (result: T) => string,
  act: () => Promise<T>,
): Promise<void> {
  const wantsJson = accept?.includes('application/json') ?? false;
  try {
    const result = await act();
    if (wantsJson) await reply.status(200).type('application/json').send(JSON.stringify(result));
    else await reply.status(200).type('text/html; charset=utf-8').send(page(result));
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    const problem = toProblem(error, reply.request.id);
    const refused = reply.status(problem.status).headers(problemHeaders(problem));
    if (wantsJson) await refused.type(PROBLEM_TYPE).send(JSON.stringify(problem));
    else
      await refused
        .type('text/html; charset=utf-8')
        .send(refusalPage(problem.detail ?? error.message));
  }
}
