import { Flag, Instant, Int, ListOf, Nested, OneOf, QueryFlag, Text, TextList } from '@io/platform';
import { IpPolicyDto } from './ip-policy.dto.js';

const PROTOCOLS = ['REST', 'HTTP', 'WEBSOCKET'];
const AMBIGUOUS_PATHS = ['refuse', 'strictest', 'normalise'];
const IP_POLICY =
  "Addresses and CIDR blocks that may call the api; a key's own policy must admit the address too.";
const DESCRIPTION_MAX = 1_024;
const DOCUMENT_MAX = 5 * 1024 * 1024;
const METHODS_MAX = 1_000;

export class CreateApiDto {
  @Text({ optional: true, description: 'The title of the document when left out.' })
  name?: string;

  @OneOf(PROTOCOLS, { optional: true, description: 'REST when left out.' })
  protocol?: string;

  @Text({ max: DESCRIPTION_MAX, optional: true, nullable: true })
  description?: string | null;

  @OneOf(AMBIGUOUS_PATHS, {
    optional: true,
    description:
      'What to do with a path that a backend may read differently; refuse when left out.',
  })
  ambiguousPath?: string;

  @Nested(() => IpPolicyDto, { optional: true, nullable: true, description: IP_POLICY })
  ipPolicy?: IpPolicyDto | null;

  @Text({
    max: DOCUMENT_MAX,
    optional: true,
    description: 'An OpenAPI 3.0, OpenAPI 3.1 or Swagger 2.0 document in JSON or YAML.',
  })
  document?: string;
}

export class UpdateApiDto {
  @Text({ optional: true })
  name?: string;

  @Text({ max: DESCRIPTION_MAX, optional: true, nullable: true })
  description?: string | null;

  @OneOf(AMBIGUOUS_PATHS, { optional: true })
  ambiguousPath?: string;

  @Nested(() => IpPolicyDto, { optional: true, nullable: true, description: IP_POLICY })
  ipPolicy?: IpPolicyDto | null;
}

export class ApiView {
  @Text()
  id: string;

  @Text()
  name: string;

  @Text({ nullable: true })
  description: string | null;

  @OneOf(PROTOCOLS)
  protocol: string;

  @Text({ nullable: true, description: "The author's version, of the last document." })
  version: string | null;

  @OneOf(AMBIGUOUS_PATHS)
  ambiguousPath: string;

  @Nested(() => IpPolicyDto, { nullable: true })
  ipPolicy: IpPolicyDto | null;

  @Instant()
  createdAt: Date;

  @Instant()
  updatedAt: Date;
}

export class ApiPage {
  @ListOf(() => ApiView, { max: 500 })
  items: ApiView[];

  @Text({ optional: true })
  next?: string;
}

export class MethodView {
  @Text()
  httpMethod: string;

  @Text()
  resourcePath: string;

  @Text({ nullable: true })
  operationId: string | null;

  @Text({ nullable: true })
  summary: string | null;
}

export class MethodList {
  @ListOf(() => MethodView, { max: METHODS_MAX })
  items: MethodView[];
}

export class ImportQuery {
  @QueryFlag({ optional: true, description: 'Tell what would change, and change nothing.' })
  dryRun?: boolean;
}

export class ImportedDocumentView {
  @Text()
  title: string;

  @Text()
  version: string;

  @Int({ min: 0, max: METHODS_MAX, description: 'How many methods the api has with it.' })
  methods: number;

  @TextList({ max: METHODS_MAX, itemMax: 1_100, description: 'Such as /pets/{petId}/GET.' })
  added: string[];

  @TextList({ max: METHODS_MAX, itemMax: 1_100 })
  removed: string[];

  @Flag()
  dryRun: boolean;
}
