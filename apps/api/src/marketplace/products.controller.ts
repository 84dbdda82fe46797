import { Body, Controller, Get, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { Scope } from '@core/identity';
import { ProductsService } from '@io/marketplace';
import { given, PageQuery, type IfMatch as EntityTags } from '@io/platform';
import { Allow, Caller } from '../access/access.js';
import { IfMatch } from '../http/entity-tag.js';
import {
  CreateProductBody,
  ProductDetailView,
  ProductPage,
  ProductView,
  UpdateProductBody,
} from './products.dto.js';

const DEFAULTS = {
  region: 'us-east-1',
  windowHours: 24,
  sealLagMinutes: 60,
  sendsZero: false,
  allocateBy: [],
  topicArns: [],
  usagePlanId: null,
  queueUrl: null,
};

@ApiTags('Marketplace')
@Controller('marketplace/products')
export class ProductsController {
  constructor(private readonly products: ProductsService) {}

  /**
   * Usage under plans with the product code is metered for it. Without dimensions calls are metered as `apigateway`, as Amazon
   * API Gateway does.
   */
  @Post()
  @Allow('billing:write')
  @ApiCreatedResponse({ type: ProductView })
  create(@Caller() scope: Scope, @Body() body: CreateProductBody) {
    return this.products.create(scope, { ...DEFAULTS, ...given(body) });
  }

  @Get()
  @Allow('read')
  @ApiOkResponse({ type: ProductPage })
  list(@Caller() scope: Scope, @Query() query: PageQuery) {
    return this.products.list(scope, query);
  }

  @Get(':productId')
  @Allow('read')
  @ApiOkResponse({ type: ProductDetailView })
  get(@Caller() scope: Scope, @Param('productId') productId: string) {
    return this.products.get(scope, productId);
  }

  @Patch(':productId')
  @Allow('billing:write')
  @ApiOkResponse({ type: ProductView })
  update(
    @Caller() scope: Scope,
    @Param('productId') productId: string,
    @Body() body: UpdateProductBody,
    @IfMatch() ifMatch: EntityTags,
  ) {
    return this.products.update(scope, productId, given(body), ifMatch);
  }
}
