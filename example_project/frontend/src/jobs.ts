/* eslint-disable */
// Written by `manage.py durably_types`. Do not edit: write it again when jobs change.
//
//     import { createDurably } from '@coji/durably-react'
//     import type { Jobs } from './jobs'
//     const durably = createDurably<Jobs>({ api: '/api/durably' })
//
// The client package takes some types from `@coji/durably`, which this site has no use for. They
// are at the end of this file: tell TypeScript in the `compilerOptions` of tsconfig.json.
//
//     "paths": { "@coji/durably": ["./src/jobs.ts"] }

export type CheckAirportsInput = {
  /** ISO 3166-1 alpha-2, like FR */
  country?: string
  allow_missing_cities?: number
}

export type CheckAirportsOutput = {
  airports: number
  missing_cities: number
}

export type ImportAirportsInput = {
  country?: string | null
  batch_size?: number
}

export type ImportAirportsOutput = {
  saved: number
  countries: number
}

export type NearestAirportsInput = {
  /** ICAO code, like LFPG */
  icao: string
  count?: number
}

export type Neighbour = {
  icao: string
  name: string
  latitude: number
  longitude: number
  kilometres: number
}

export type NearestAirportsOutput = Neighbour[]

export type Jobs = {
  'check-airports': Job<CheckAirportsInput, CheckAirportsOutput>
  'import-airports': Job<ImportAirportsInput, ImportAirportsOutput>
  'nearest-airports': Job<NearestAirportsInput, NearestAirportsOutput>
}

/** What `createDurably` finds out a job's input and output by. */
type Job<TInput, TOutput> = {
  trigger: {
    (input: unknown): Promise<{ output?: TOutput }>
    (input: TInput): Promise<{ output?: TOutput }>
  }
}

// What the client package imports from `@coji/durably`. Where TypeScript finds no such module, the
// client would take any input for any job; the import of RunStatus makes that an error.

export type RunStatus = 'pending' | 'leased' | 'completed' | 'failed' | 'cancelled'

export type ClientRun = {
  id: string
  jobName: string
  status: import('@coji/durably').RunStatus
  input: unknown
  output: unknown
  error: string | null
  currentStepIndex: number
  completedStepCount: number
  progress: { current: number; total?: number; message?: string } | null
  labels: Record<string, string>
  startedAt: string | null
  completedAt: string | null
  createdAt: string
  isTerminal: boolean
  isActive: boolean
}

export type Run = ClientRun

export interface JobDefinition<TName extends string, TInput, TOutput> {
  readonly name: TName
  readonly run: (step: never, input: TInput) => Promise<TOutput>
}

export interface Durably<TJobs = unknown, TLabels = unknown> {
  readonly jobs: TJobs
  readonly labels?: TLabels
}
