import { Flag, Id, Instant, ListOf, Text } from '@io/platform';

export class CreateGatewayDto {
  @Text({ max: 128 })
  name: string;
}

export class UpdateGatewayDto {
  @Text({ max: 128, optional: true })
  name?: string;

  @Flag({ optional: true, description: 'A disabled gateway is refused, with all of its tokens.' })
  disabled?: boolean;
}

export class GatewayView {
  @Id()
  id: string;

  @Text()
  name: string;

  @Instant({ nullable: true })
  disabledAt: Date | null;

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;
}

export class NewGatewayView extends GatewayView {
  @Text({ description: 'Its first token, shown here and nowhere else.' })
  token: string;
}

export class GatewayPage {
  @ListOf(() => GatewayView, { max: 500 })
  items: GatewayView[];

  @Text({ optional: true })
  next?: string;
}
