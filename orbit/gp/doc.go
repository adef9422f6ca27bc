// Package gp reads general perturbations element sets: TLE, and OMM in JSON,
// CSV, XML and KVN.
package gp
