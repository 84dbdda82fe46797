import { Module } from '@nestjs/common';
import { MeteringModule } from '@io/metering';
import { MetersController } from './meters.controller.js';

@Module({ imports: [MeteringModule], controllers: [MetersController] })
export class MetersApiModule {}
