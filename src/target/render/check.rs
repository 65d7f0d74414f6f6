//! The language of templates, as an allow list over minijinja's syntax tree. No I/O.
//!
//! Two passes: over the tokens, so that nothing is parsed that is nested deeply enough to overflow a stack, then over the tree.

use minijinja::machinery::ast::{BinOpKind, Expr, Stmt, UnaryOpKind};
use minijinja::machinery::{Token, parse, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::error::{ErrorKind, TemplateError};
use super::filter;
use super::language::{MAX_DEPTH, MAX_STATEMENTS, MAX_TEMPLATE, MAX_TOKENS, STATEMENTS, Values};

type Checked = Result<(), TemplateError>;
/// Whether something mentions the client secret.
type Mentions = Result<bool, TemplateError>;

/// Checks a template, and returns whether it mentions the client secret.
pub(super) fn check(text: &str, syntax: &SyntaxConfig) -> Mentions {
    if text.len() > MAX_TEMPLATE {
        return Err(TemplateError::new(1, ErrorKind::TooLong));
    }
    tokens(text, syntax)?;
    let tree = parse(text, "", syntax.clone()).map_err(|error| TemplateError::of(&error, 1))?;
    statement(&tree)
}

/// Checks the statements by name, and that there is not too much to parse.
fn tokens(text: &str, syntax: &SyntaxConfig) -> Checked {
    let (mut statements, mut count, mut depth, mut begins) = (0, 0, 0_usize, false);
    let mut line = 1;
    for token in tokenize(text, false, syntax.clone()) {
        // NB: an escape that is none has no line of its own; it is on that of the token before, or shortly after.
        let (token, span) = token.map_err(|error| TemplateError::of(&error, line))?;
        line = usize::from(span.end_line);
        let refused = |kind| Err(TemplateError::new(usize::from(span.start_line), kind));
        count += 1;
        match token {
            Token::Ident(name) if begins && !STATEMENTS.contains(&name) => {
                return refused(ErrorKind::Statement(name.to_owned()));
            }
            Token::BlockStart | Token::VariableStart => (count, depth) = (0, 0),
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => depth += 1,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
        begins = matches!(token, Token::BlockStart);
        statements += usize::from(begins);
        if statements > MAX_STATEMENTS {
            return refused(ErrorKind::TooManyStatements);
        }
        if count > MAX_TOKENS || depth > MAX_DEPTH {
            return refused(ErrorKind::TooComplex);
        }
    }
    Ok(())
}

/// Whether a statement mentions the client secret.
fn statement(statement: &Stmt<'_>) -> Mentions {
    match statement {
        Stmt::Template(template) => statements(&template.children),
        Stmt::EmitRaw(_) => Ok(false),
        Stmt::EmitExpr(emit) => text(&emit.expr),
        Stmt::IfCond(branch) => {
            condition(&branch.expr)?;
            Ok(statements(&branch.true_body)? | statements(&branch.false_body)?)
        }
        // The tokens leave no other.
        _ => Err(TemplateError::new(1, ErrorKind::Syntax)),
    }
}

fn statements(statements: &[Stmt<'_>]) -> Mentions {
    statements
        .iter()
        .try_fold(false, |mentions, next| Ok(mentions | statement(next)?))
}

/// Whether an expression, which is a text whatever the values are, mentions the client secret.
fn text(expression: &Expr<'_>) -> Mentions {
    let refused = |kind| Err(refusal(expression, kind));
    match expression {
        Expr::Const(literal) if literal.value.as_str().is_some() => Ok(false),
        Expr::Var(name) if Values::NAMES.contains(&name.id) => Ok(name.id == Values::SECRET),
        Expr::Var(name) => refused(ErrorKind::UnknownName(name.id.to_owned())),
        Expr::BinOp(both) if matches!(both.op, BinOpKind::Concat) => {
            Ok(text(&both.left)? | text(&both.right)?)
        }
        Expr::Filter(filter) => {
            let name = || filter.name.to_owned();
            if !filter::names().any(|known| known == filter.name) {
                return refused(ErrorKind::UnknownFilter(name()));
            }
            if !filter.args.is_empty() {
                return refused(ErrorKind::Arguments(name()));
            }
            let Some(argument) = &filter.expr else {
                return refused(ErrorKind::Expression);
            };
            text(argument)
        }
        Expr::IfExpr(choice) => {
            condition(&choice.test_expr)?;
            let Some(other) = &choice.false_expr else {
                return refused(ErrorKind::MissingElse);
            };
            Ok(text(&choice.true_expr)? | text(other)?)
        }
        _ => refused(ErrorKind::Expression),
    }
}

/// An expression that is true or false, and is known before a client secret is generated.
fn condition(expression: &Expr<'_>) -> Checked {
    let refused = |kind| Err(refusal(expression, kind));
    match expression {
        Expr::UnaryOp(not) if matches!(not.op, UnaryOpKind::Not) => condition(&not.expr),
        Expr::BinOp(both) => match both.op {
            BinOpKind::ScAnd | BinOpKind::ScOr => {
                condition(&both.left)?;
                condition(&both.right)
            }
            BinOpKind::Eq | BinOpKind::Ne | BinOpKind::In => {
                if text(&both.left)? | text(&both.right)? {
                    return refused(ErrorKind::SecretInCondition);
                }
                Ok(())
            }
            _ => refused(ErrorKind::Condition),
        },
        _ => refused(ErrorKind::Condition),
    }
}

fn refusal(expression: &Expr<'_>, kind: ErrorKind) -> TemplateError {
    TemplateError::new(usize::from(expression.span().start_line), kind)
}
