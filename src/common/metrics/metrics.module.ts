import { Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { MetricsController } from './metrics.controller.js';
import { ProcessMetrics } from './process-metrics.js';
import { Scrapes } from './scrapes.js';

@Module({ imports: [DiscoveryModule], controllers: [MetricsController], providers: [Scrapes, ProcessMetrics] })
export class MetricsModule {}
