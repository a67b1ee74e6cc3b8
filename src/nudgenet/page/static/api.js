// The page's only way to data: requests under /api/, one WebSocket for what is live, or an exported file's answers.

/** A request that was answered with a line of what is wrong. */
export class ApiError extends Error {
	constructor(message, status = 0) {
		super(message);
		this.name = "ApiError";
		this.status = status;
	}
}

let source = null; // {get(path), post(path, body), picture(part, index)} of an exported file: see exported.js

export function useSource(other) {
	source = other;
}

/** Whether this is an exported file: nothing can be started, stopped or changed. */
export function isExported() {
	return source !== null;
}

export function piece(name) {
	return encodeURIComponent(name);
}

/** `path?a=1&b=2`; what is null is left out. */
export function withQuery(path, query = {}) {
	const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value != null)).toString();
	return text ? `${path}?${text}` : path;
}

function address(path) {
	return new URL(`api/${path}`, document.baseURI).href;
}

export function itemAddress(run, part, index) {
	return source ? source.picture(part, index) : address(withQuery(`runs/${piece(run)}/item`, {part, index}));
}

/** The JSON answer; raises ApiError with one plain line. `signal` of an AbortController ends it. */
export function get(path, {signal = null} = {}) {
	return source ? source.get(path) : ask("GET", path, undefined, signal);
}

export function post(path, body = {}, {signal = null} = {}) {
	return source ? source.post(path, body) : ask("POST", path, body, signal);
}

export function remove(path) {
	return ask("DELETE", path);
}

async function ask(method, path, body, signal = null) {
	const options = {method, signal, credentials: "same-origin", headers: {Accept: "application/json"}};
	if (body !== undefined) {
		options.body = JSON.stringify(body);
		options.headers["Content-Type"] = "application/json";
	}
	let answer;
	try {
		answer = await fetch(address(path), options);
	} catch (error) {
		if (error.name === "AbortError") throw error;
		throw new ApiError("The page's server does not answer. Is `nudge page` still running?");
	}
	const text = await answer.text();
	let content = null;
	try {
		content = text ? JSON.parse(text) : null;
	} catch {
		throw new ApiError(`The server's answer cannot be read (status ${answer.status}).`, answer.status);
	}
	if (!answer.ok) throw new ApiError(content?.error ?? `The server refused (status ${answer.status}).`, answer.status);
	return content;
}

/** A WebSocket under /api/ that speaks JSON: `socket(path, {open, message, close})` -> {send(object), close()}. */
export function socket(path, {open = () => {}, message = () => {}, close = () => {}} = {}) {
	const connection = new WebSocket(address(path).replace(/^http/, "ws"));
	connection.addEventListener("open", open);
	connection.addEventListener("message", event => message(JSON.parse(event.data)));
	connection.addEventListener("close", close);
	return {
		send(content) {
			if (connection.readyState === WebSocket.OPEN) connection.send(JSON.stringify(content));
		},
		close: () => connection.close(),
	};
}

const FIRST_WAIT = 500; // ms before the first new try; doubled up to LONGEST_WAIT
const LONGEST_WAIT = 8000;

/**
 * The live feed: one WebSocket for the whole page, which comes back quietly when it was lost.
 *
 * subscribe(fn) -> end: `fn(message)` for the server's messages, and {connected: bool} when that changes.
 * watch(name, known): the run whose news after {epoch, step} are wanted; null: only the list of runs.
 */
export function liveFeed() {
	const listeners = new Set();
	const wanted = {watch: null, epoch: 0, step: 0};
	let current = null;
	let wait = FIRST_WAIT;
	const tell = message => [...listeners].forEach(listener => listener(message));

	function learn(message) {
		if (message.run === wanted.watch) {
			wanted.epoch = Math.max(wanted.epoch, ...(message.epochs ?? []).map(epoch => epoch.epoch));
			wanted.step = Math.max(wanted.step, message.batches?.step?.at(-1) ?? 0);
		}
		tell(message);
	}

	function connect() {
		let opened = false;
		current = socket("live", {
			open() {
				opened = true;
				wait = FIRST_WAIT;
				current.send(wanted);
				tell({connected: true});
			},
			message: learn,
			close() {
				if (opened) tell({connected: false});
				setTimeout(connect, wait);
				wait = Math.min(2 * wait, LONGEST_WAIT);
			},
		});
	}

	if (!source) connect();
	return {
		subscribe(listener) {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		watch(name, {epoch = 0, step = 0} = {}) {
			Object.assign(wanted, {watch: name, epoch, step});
			current?.send(wanted);
		},
	};
}
