//go:build !linux

package main

func waitForExit(pid int) error { return pollForExit(pid) }
