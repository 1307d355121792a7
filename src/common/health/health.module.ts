import { Module } from '@nestjs/common';
import { DoctorEndpoints } from './doctor-endpoints.js';
import { HealthController } from './health.controller.js';

@Module({ controllers: [HealthController], providers: [DoctorEndpoints] })
export class HealthModule {}
