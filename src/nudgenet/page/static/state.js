// A small observable state: what several panels of one view agree on.

/**
 * A store over an object of plain values: `state` (replaced, never changed), `set(partial)`, and `subscribe(fn)`, which
 * calls `fn(state, changed)` with the Set of names that are different, and returns what ends it.
 *
 * The run view's store holds
 *   name, run   the run; `run` is the answer of `runs/{name}`      live   whether it is training
 *   step        updates so far; null is the kept best weights       mode   "nearest" | "exact"
 *   row         {part, index} | {values: {column: text}, from} | {values, truth}      cells  what stands in it
 *   member      of the ensemble, from 0       layer, neuron  the one that is opened, or null
 *   stage, batch   of the walk through an update                    detail "beginner" | "practitioner"
 *   gone        whether the run's rows cannot be read any more
 *   at          of the last answer            layers         what can be opened
 */
export function createStore(initial) {
	const listeners = new Set();
	const store = {
		state: Object.freeze({...initial}),
		set(partial) {
			const changed = new Set(Object.keys(partial).filter(key => !Object.is(partial[key], store.state[key])));
			if (changed.size === 0) return;
			store.state = Object.freeze({...store.state, ...partial});
			for (const listener of [...listeners]) listener(store.state, changed);
		},
		subscribe(listener) {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
	};
	return store;
}

/** What ends several things at once: views collect their subscriptions and timers here. */
export function createCleanup() {
	const actions = [];
	const cleanup = {
		ended: false,
		add(action) {
			if (cleanup.ended) action();
			else actions.push(action);
		},
		/** Until the end, `action(state)` whenever one of these names of the store has changed. */
		on(store, names, action) {
			cleanup.add(store.subscribe((state, changed) => names.some(name => changed.has(name)) && action(state)));
		},
		end() {
			cleanup.ended = true;
			for (const action of actions.splice(0).reverse()) action();
		},
	};
	return cleanup;
}
