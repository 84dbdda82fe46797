import { Id, OneOf, Text } from '@io/platform';

export class ClaimAgreementBody {
  @Text({ max: 64, description: 'The code that the marketplace’s landing page showed.' })
  claim: string;

  @Id({
    optional: true,
    description: 'For whom, of an operator; a customer claims for themselves.',
  })
  customerId?: string;
}

export class NoticeOutcomeView {
  @OneOf(['followed', 'late', 'duplicate', 'unknown'])
  outcome: string;
}

export class SnsOutcomeView {
  @OneOf(['followed', 'late', 'duplicate', 'unknown', 'confirmed'])
  outcome: string;
}

export class ArrivalView {
  @Text()
  productName: string;

  @Text({
    description: 'Of the agreement: `pending` until AWS says that the subscription started.',
  })
  state: string;

  @Text({
    nullable: true,
    description: 'For signing up, within four hours; null when it is somebody’s.',
  })
  claim: string | null;
}

export class SignedUpView {
  @Id()
  customerId: string;

  @Text()
  state: string;

  @Text({ description: 'The value of the customer’s token, shown only now.' })
  token: string;
}
