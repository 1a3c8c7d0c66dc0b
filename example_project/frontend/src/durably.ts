import { createDurably } from '@coji/durably-react'
import type { Jobs } from './jobs'

/** Where Django serves the API; the template of the page says it. */
export const api = document.getElementById('root')!.dataset.api!

export const durably = createDurably<Jobs>({ api })
