/* Jobs as the server tells them, for every page that shows some: what they are, how far they are, and what came of those
 * that this page saw running. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const listeners = new Set();
  const jobs = new Map(); // by id, in no order
  const cancelling = new Set(); // ids of jobs that are asked to end
  let version = null; // of the newest change that is known
  let asking = null; // the question that is under way
  let isStale = false; // whether something changed since it was asked

  /**
   * Ask one of our own addresses; the server's sentence is thrown when it refuses.
   * @param {string} path   after `/api/v1/`
   * @param {Object} [body] sent as JSON; without one nothing is changed there
   */
  async function request(path, body) {
    const options = body === undefined ? { cache: "no-store" } : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    let response;
    try {
      response = await (body === undefined ? iscan.read : fetch)(iscan.address(`/api/v1/${path}`), options);
    } catch {
      throw new Error("The server does not answer. Try again when it is back.");
    }
    const answer = await response.json().catch(() => ({ error: "The server's answer is not understood. Load the page again." }));
    if (!response.ok) throw new Error(answer.error || "The server refused to answer. Load the page again.");
    return answer;
  }

  /** Say what came of a job that was running a moment ago. */
  function tell(job) {
    const shows = { Finished: "success", Failed: "danger", Lost: "warning" };
    if (!job.mine || !(job.state in shows)) return;
    const actions = [{ text: "Study Logs", href: iscan.address("/logs") }];
    if (job.result && job.kind === "prediction") actions.unshift({ text: "View", action: { verb: "colour", by: `annotation:${job.result}` } });
    if (job.result && job.kind === "enrichment") actions.unshift({ text: "Label groups", href: iscan.address(`/annotate/enrichment?result=${job.result}`) });
    iscan.toast.show({ id: `job-${job.id}`, kind: shows[job.state], text: `${job.name}: ${job.message}`, actions, seconds: job.state === "Finished" ? 8 : null });
  }

  function take({ version: newest, jobs: changed, all }) {
    const isFirst = version === null;
    version = newest;
    if (all) jobs.clear();
    const heard = performance.now();
    const ended = [];
    for (const job of changed) {
      const before = jobs.get(job.id);
      if (!job.active) cancelling.delete(job.id);
      jobs.set(job.id, { ...job, heard, cancelling: cancelling.has(job.id) });
      if (before && before.active && !job.active) ended.push(job);
    }
    if (isFirst || changed.length) listeners.forEach((listener) => listener(changed));
    ended.forEach(tell);
  }

  /** Ask what is new. */
  function refresh() {
    isStale = true;
    asking ??= (async () => {
      try {
        while (isStale) {
          isStale = false;
          take(await request(`jobs?since=${version ?? 0}`));
        }
      } catch {
        // The banner says that the server is away; it is asked again with the next news.
        version = null;
      } finally {
        asking = null;
      }
    })();
    return asking;
  }

  window.addEventListener("iscan:status", () => {
    const { jobs: newest } = iscan.status;
    showActive();
    if (newest !== undefined && (version === null ? newest > 0 : newest !== version)) refresh();
  });

  /** Say in the top bar how many jobs there are to wait for. */
  function showActive() {
    const place = document.getElementById("shell-jobs");
    const count = iscan.status.jobs_active || 0;
    const text = count ? `${number(count)} ${count === 1 ? "job" : "jobs"} under way` : "";
    if (!place || place.textContent === text) return;
    place.replaceChildren();
    if (!count) return;
    const link = Object.assign(document.createElement("a"), { href: iscan.address("/logs"), textContent: text });
    link.addEventListener("click", (event) => {
      event.preventDefault();
      iscan.go(iscan.address("/logs"));
    });
    place.append(link);
  }

  /** Have something done with a job: "cancel" or "rerun"; returns whether the server does it. */
  async function act(id, what) {
    let isDone = true;
    try {
      await request(`jobs/${id}/${what}`, {});
    } catch (error) {
      isDone = false;
      iscan.toast.show({ id: `${what}-${id}-${Date.now()}`, kind: "danger", text: error.message, actions: [], seconds: null });
    }
    iscan.pollStatus();
    await refresh();
    return isDone;
  }

  /** Have a job end, which takes a moment; that it was heard is told at once. */
  async function cancel(id) {
    const mark = (isLeaving) => {
      if (isLeaving) cancelling.add(id);
      else cancelling.delete(id);
      const job = jobs.get(id);
      if (!job) return;
      jobs.set(id, { ...job, cancelling: isLeaving });
      listeners.forEach((listener) => listener([jobs.get(id)]));
    };
    mark(true);
    if (!(await act(id, "cancel"))) mark(false);
  }

  /** Open what came of a job; labels colour the plot besides. */
  function openResult(job) {
    if (job.kind === "enrichment") return iscan.go(iscan.address(`/annotate/enrichment?result=${job.result}`));
    iscan.colourBy(`annotation:${job.result}`);
    iscan.go(iscan.address(`/annotate/result?open=${job.result}`));
  }

  const number = (value) => value.toLocaleString("en-US");

  /** How a job stands, in words: a place in the queue, or what is being done. */
  function stepText(job) {
    if (job.cancelling) return "Cancelling...";
    if (job.state === "Queued") return job.position > 1 ? `${number(job.position - 1)} before it in the queue` : "next in the queue";
    if (job.state !== "Running" || !job.step) return "";
    return job.total > 1 ? `${job.step} (${number(job.done)} of ${number(job.total)})` : job.step;
  }

  /** How long a job ran, or has been running. */
  function seconds(job) {
    if (job.seconds === null) return null;
    return job.state === "Running" ? job.seconds + (performance.now() - job.heard) / 1000 : job.seconds;
  }

  function duration(value) {
    if (value === null) return "";
    if (value < 1) return "< 1 s";
    const whole = Math.round(value);
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
    return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  }

  iscan.jobs = {
    request,
    refresh,
    cancel,
    rerun: (id) => act(id, "rerun"),
    openResult,
    stepText,
    seconds,
    duration,
    get: (id) => jobs.get(id),
    /** All jobs, the newest first. */
    all: () => [...jobs.values()].sort((a, b) => (a.submitted < b.submitted ? 1 : a.submitted > b.submitted ? -1 : 0)),
    /** Whether the list is known. */
    isKnown: () => version !== null,
    onChange: (listener) => listeners.add(listener),
  };
})();
