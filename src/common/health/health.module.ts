import { Module } from '@nestjs/common';
import { DoctorProbes } from './doctor-probes.js';
import { HealthController } from './health.controller.js';

@Module({ controllers: [HealthController], providers: [DoctorProbes] })
export class HealthModule {}
