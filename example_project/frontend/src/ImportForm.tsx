import { useState, type FormEvent } from 'react'
import { durably } from './durably'

export function ImportForm({ onTriggered }: { onTriggered: (runId: string) => void }) {
  const { trigger, reset } = durably['import-airports'].useJob({
    // The panel beside follows the run.
    autoResume: false,
    followLatest: false,
  })
  const [error, setError] = useState<string | null>(null)
  const [isBusy, setIsBusy] = useState(false)

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const fields = new FormData(event.currentTarget)
    const country = String(fields.get('country')).trim().toUpperCase()
    setError(null)
    setIsBusy(true)
    try {
      const { runId } = await trigger({
        country: country || null,
        batch_size: Number(fields.get('batch_size')),
      })
      onTriggered(runId)
    } catch (refused) {
      setError(messageOf(refused))
    } finally {
      reset()
      setIsBusy(false)
    }
  }

  return (
    <form className="panel import" onSubmit={submit}>
      <h2>Import airports</h2>
      <p className="quiet">Kill the worker half-way: the next one goes on where it stopped.</p>
      <label>
        Country <input name="country" size={6} maxLength={2} placeholder="all" autoComplete="off" />
      </label>
      <label>
        In steps of{' '}
        <input name="batch_size" type="number" min={1} max={5000} defaultValue={500} required />
      </label>
      <button disabled={isBusy}>Import</button>
      {error !== null && (
        <p className="message error" role="alert">
          {error}
        </p>
      )}
    </form>
  )
}

/** The words of a refused trigger: the client throws the body of the answer, which is JSON. */
function messageOf(refused: unknown): string {
  const text = refused instanceof Error ? refused.message : String(refused)
  try {
    return JSON.parse(text).error ?? text
  } catch {
    return text
  }
}
