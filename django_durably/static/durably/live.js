// Keeps what `{% durably_run %}` and `{% durably_runs %}` have rendered up to date.
//
// All widgets of a page that use one API share one event stream. A page whose runs have all ended
// opens none, and a page that nobody looks at gives its stream back: browsers open only six at a
// time per host. Each stream goes on where the page, or the stream before it, has left off.

const AFTER = {
  'run:trigger': 'pending',
  'run:leased': 'leased',
  'run:complete': 'completed',
  'run:fail': 'failed',
  'run:cancel': 'cancelled',
  'run:delete': 'deleted',
}
const TERMINAL = ['completed', 'failed', 'cancelled', 'deleted']
const HIDDEN_FOR_LONG = 20_000
const LONGEST_DELAY = 60_000
const MOST_FAILURES = 8
const REFRESH_PAUSE = 60_000

const language = document.documentElement.lang || undefined
const seconds = new Intl.NumberFormat(language, { maximumFractionDigits: 1 })

const part = (root, name) => root.querySelector(`[data-part="${name}"]`)
const fresh = (list) => list.querySelector('template').content.firstElementChild.cloneNode(true)
const highest = (cursor) => parseInt(cursor, 10) || 0

function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text
}

function showStatus(root, status, words) {
  const badge = part(root, 'status')
  root.dataset.status = badge.dataset.status = status
  setText(badge, words[status] ?? status)
}

function showProgress(root, { current, total, message }) {
  const progress = part(root, 'progress')
  const bar = part(progress, 'bar')
  progress.hidden = false
  bar.hidden = !total
  if (total) Object.assign(bar, { max: total, value: current })
  const percent = total ? Math.min(100, Math.floor((100 * current) / total)) : 0
  setText(part(progress, 'percent'), total ? `${percent}%` : String(current))
  setText(part(progress, 'message'), message ?? '')
}

function showError(root, error) {
  const place = part(root, 'error')
  place.hidden = !error
  setText(place, error ?? '')
}

function showOutput(root, output) {
  const place = part(root, 'output')
  if (!place || output == null) return
  place.hidden = false
  setText(place, JSON.stringify(output, null, 2))
}

function took(duration) {
  const whole = Math.round(duration)
  return whole < 1000 ? `${whole} ms` : `${seconds.format(whole / 1000)} s`
}

function showTime(element) {
  const time = element.dateTime && new Date(element.dateTime)
  if (time) setText(element, time.toLocaleTimeString(language, { hourCycle: 'h23' }))
}

/** Add an entry at the end of a list with room for so many, in sight if its end is. */
function append(list, entry, limit) {
  const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4
  list.querySelector('template').before(entry)
  if (list.children.length - 1 > limit) list.firstElementChild.remove()
  if (atEnd) list.scrollTop = list.scrollHeight
}

/** Whatever else on the page is there only in some statuses of a run: its buttons, for example. */
function showWhere(runId, status) {
  const group = TERMINAL.includes(status) ? 'terminal' : 'active'
  for (const element of document.querySelectorAll(`[data-durably-when][data-run="${runId}"]`)) {
    const when = element.dataset.durablyWhen.split(' ')
    element.hidden = !(when.includes(status) || (when.includes(group) && status !== 'deleted'))
  }
}

class Widget {
  constructor(element) {
    this.element = element
    this.limit = Number(element.dataset.limit)
    this.words = JSON.parse(element.dataset.words)
    this.cursor = element.dataset.cursor
  }

  showOffline(isOffline) {
    part(this.element, 'offline').hidden = !isOffline
  }
}

class RunWidget extends Widget {
  constructor(element) {
    super(element)
    this.runId = element.dataset.run
    this.key = `run ${this.runId}`
    this.seen = Number(element.dataset.seen)
    this.query = new URLSearchParams({ jobName: element.dataset.job })
    for (const [key, value] of Object.entries(JSON.parse(element.dataset.labels))) {
      this.query.set(`label.${key}`, value)
    }
    this.steps = part(element, 'steps')
    this.log = part(element, 'log')
    element.querySelectorAll('time').forEach(showTime)
    for (const list of [this.steps, this.log]) if (list) list.scrollTop = list.scrollHeight
  }

  get isOver() {
    return TERMINAL.includes(this.element.dataset.status)
  }

  handle(event, id) {
    if (event.runId !== this.runId || id <= this.seen) return
    const status = AFTER[event.type]
    if (status) this.showStatus(status)
    if (event.type === 'run:fail') showError(this.element, event.error)
    if (event.type === 'run:complete') showOutput(this.element, event.output)
    if (event.type === 'run:progress') showProgress(this.element, event.progress)
    if (event.type === 'log:write' && this.log) this.addEntry(event)
    if (event.type.startsWith('step:') && this.steps) this.showStep(event)
  }

  showStatus(status) {
    showStatus(this.element, status, this.words)
    showWhere(this.runId, status)
    // What had begun when the run ended has no result: a page made now would not have it.
    if (this.isOver) this.steps?.querySelectorAll('[data-status="started"]').forEach((step) => step.remove())
  }

  showStep({ type, stepName, error, duration }) {
    const status = { start: 'started', complete: 'completed', fail: 'failed', cancel: 'cancelled' }
    let step = [...this.steps.children].findLast((each) => each.dataset.step === stepName)
    if (!step) {
      step = fresh(this.steps)
      step.dataset.step = stepName
      setText(part(step, 'name'), stepName)
      append(this.steps, step, this.limit)
    }
    showStatus(step, status[type.slice('step:'.length)], this.words)
    showError(step, error)
    setText(part(step, 'took'), duration == null ? '' : took(duration))
  }

  addEntry({ level, message, data }) {
    const entry = fresh(this.log)
    entry.dataset.level = level
    const time = part(entry, 'time')
    time.dateTime = new Date().toISOString()
    showTime(time)
    setText(part(entry, 'message'), message)
    setText(part(entry, 'data'), data == null ? '' : JSON.stringify(data))
    append(this.log, entry, this.limit)
  }
}

class ListWidget extends Widget {
  constructor(element) {
    super(element)
    this.query = new URLSearchParams(element.dataset.query)
    this.key = `runs ${this.query}`
    this.rows = part(element, 'rows')
    this.isOver = false
  }

  handle(event) {
    if (!this.wants(event)) return
    let row = this.rows.querySelector(`:scope > [data-run="${event.runId}"]`)
    if (event.type === 'run:trigger') row ??= this.addRow(event)
    if (!row) return
    if (event.type === 'run:delete') row.remove()
    else if (AFTER[event.type]) showStatus(row, AFTER[event.type], this.words)
    if (event.type === 'run:progress') showProgress(row, event.progress)
    part(this.element, 'none').hidden = this.rows.children.length > 1
  }

  wants({ jobName, labels }) {
    const jobs = this.query.getAll('jobName')
    const pairs = [...this.query].filter(([key]) => key.startsWith('label.'))
    return (
      (!jobs.length || jobs.includes(jobName)) &&
      pairs.every(([key, value]) => labels[key.slice('label.'.length)] === value)
    )
  }

  addRow({ runId, jobName }) {
    const row = fresh(this.rows)
    const name = part(row, 'name')
    row.dataset.run = runId
    setText(name, jobName)
    if (name.href) name.href = name.getAttribute('href').replace(/0{8}(-0{4}){3}-0{12}/, runId)
    this.rows.prepend(row)
    if (this.rows.children.length - 1 > this.limit) [...this.rows.querySelectorAll(':scope > tr')].pop().remove()
    return row
  }
}

/** One stream for all widgets of one API. */
class Stream {
  constructor(api, widgets) {
    this.api = api
    this.widgets = widgets
    this.failures = 0
    this.startOver()
  }

  startOver() {
    const cursors = this.active().map((widget) => widget.cursor)
    this.last = cursors.sort((one, other) => highest(one) - highest(other))[0]
    this.open()
  }

  active() {
    return this.widgets.filter((widget) => !widget.isOver)
  }

  open() {
    this.close()
    if (!this.active().length || document.hidden) return
    this.source = new EventSource(this.url())
    this.source.onmessage = (message) => this.receive(message)
    this.source.onerror = () => this.fail()
    this.source.addEventListener('stream-open', (message) => this.opened(message))
    this.source.addEventListener('keep-alive', (message) => this.note(message))
  }

  close() {
    clearTimeout(this.timer)
    this.source?.close()
    this.source = null
  }

  url() {
    const active = this.active()
    const [first] = active
    if (active.length === 1 && first.runId) {
      return `${this.api}/subscribe?${new URLSearchParams({ runId: first.runId, lastEventId: this.last })}`
    }
    const query = common(active.map((widget) => widget.query))
    query.set('lastEventId', this.last)
    return `${this.api}/runs/subscribe?${query}`
  }

  opened(message) {
    this.failures = 0
    this.widgets.forEach((widget) => widget.showOffline(false))
    // The server gives the stream a new place when it cannot go on from the old one.
    const isBehind = message.lastEventId && message.lastEventId !== this.last
    this.note(message)
    if (isBehind) this.refresh()
  }

  note(message) {
    if (message.lastEventId) this.last = message.lastEventId
  }

  receive(message) {
    this.note(message)
    const event = JSON.parse(message.data)
    for (const widget of this.widgets) widget.handle(event, highest(message.lastEventId))
    if (!this.active().length) this.close()
  }

  /** `EventSource` comes back by itself, but not after an answer that is no stream. */
  fail() {
    if (this.source?.readyState !== EventSource.CLOSED) return
    this.close()
    this.failures += 1
    if (this.failures > MOST_FAILURES) {
      this.active().forEach((widget) => widget.showOffline(true))
    } else {
      const delay = Math.min(LONGEST_DELAY, 500 * 2 ** this.failures)
      this.timer = setTimeout(() => this.open(), delay * (0.5 + Math.random() / 2))
    }
  }

  show(isVisible) {
    clearTimeout(this.timer)
    if (!isVisible) this.timer = setTimeout(() => this.close(), HIDDEN_FOR_LONG)
    else if (!this.source) {
      this.failures = 0
      this.open()
    }
  }

  /** Something was missed: take what the server shows of the widgets now. */
  async refresh() {
    if (performance.now() - (this.refreshedAt ?? -Infinity) < REFRESH_PAUSE) return
    this.refreshedAt = performance.now()
    const answer = await fetch(location.href, { headers: { Accept: 'text/html' } })
    if (!answer.ok) return
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
    const found = widgetsOf(page)
    this.widgets = this.widgets.map((old) => {
      const now = found.find((each) => each.key === old.key)
      if (!now) return old
      old.element.replaceWith(document.adoptNode(now.element))
      if (now.runId) showWhere(now.runId, now.element.dataset.status)
      return now
    })
    this.startOver()
  }
}

/** A query that finds whatever any of these finds. */
function common(queries) {
  const [first, ...others] = queries
  const query = new URLSearchParams()
  for (const [key, value] of first) {
    const isShared = others.every((other) => other.getAll(key).includes(value))
    if (key.startsWith('label.') && isShared) query.append(key, value)
  }
  if (queries.every((each) => each.has('jobName'))) {
    const names = new Set(queries.flatMap((each) => each.getAll('jobName')))
    names.forEach((name) => query.append('jobName', name))
  }
  return query
}

function widgetsOf(page) {
  return [...page.querySelectorAll('[data-durably]')].map((element) =>
    element.dataset.durably === 'run' ? new RunWidget(element) : new ListWidget(element),
  )
}

const byApi = {}
for (const widget of widgetsOf(document)) {
  const { api } = widget.element.dataset
  if (api) (byApi[api] ??= []).push(widget)
}
const streams = Object.entries(byApi).map(([api, widgets]) => new Stream(api, widgets))

document.addEventListener('visibilitychange', () => {
  streams.forEach((stream) => stream.show(!document.hidden))
})
window.addEventListener('online', () => streams.forEach((stream) => stream.show(!document.hidden)))
