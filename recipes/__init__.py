"""Recipes, installed as package data; each folder is one experiment."""
