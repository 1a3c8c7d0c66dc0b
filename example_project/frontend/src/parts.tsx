import type { Progress } from '@coji/durably-react'

export function Status({ status }: { status: string }) {
  return (
    <span className={`status ${status}`} role="status">
      {status}
    </span>
  )
}

export function ProgressBar({ progress }: { progress: Progress | null }) {
  if (progress === null) {
    return null
  }
  const { current, total, message } = progress
  return (
    <span className="progress">
      {total ? (
        <>
          <progress value={current} max={total} aria-label="Progress" />{' '}
          <span className="number">{Math.floor((100 * current) / total)}%</span>{' '}
        </>
      ) : (
        <span className="number">{current}</span>
      )}{' '}
      <span className="quiet">{message}</span>
    </span>
  )
}
